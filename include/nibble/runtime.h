// compile(Graph) -> Program: float, integer or mixed execution with a memory plan.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/isa.h"

#pragma GCC visibility push(default)
namespace nibble {

enum class Arithmetic : uint8_t {
  integer,        // quantized values are integers, between integer kernels where there is one
  fake_quantize,  // quantized values are rounded to their grid, all arithmetic is f32 (what
                  // training sees)
  f32,            // activations are not rounded at all; quantized constants are dequantized
  saturating16,   // integer, but unsigned data times signed weights as x86 CPUs without VNNI add
                  // them in other runtimes: in saturating pairs (nibble/pair_order.h, flattened)
};

struct CompileOptions {
  Arithmetic arithmetic = Arithmetic::integer;
  /// Shapes for inputs with unknown dimensions, by input name. Inputs not named keep their shape; a
  /// dimension that stays unknown makes what depends on it allocate while running.
  std::map<std::string, Shape> input_shapes;
  int threads = 1;  // 0: one per core
  /// Off: every value of the graph is computed as the graph says (no fusion, no layout change), so
  /// it can be observed.
  bool optimize = true;
};

/// What a step does, as far as its time goes.
enum class StepKind : uint8_t {
  convolution,
  depthwise,  // a convolution each of whose channels sees one channel
  product,    // of matrices
  recurrent,  // LSTM, GRU, RNN
  pooling,
  elementwise,  // and all that is none of the others
  movement,     // elements are moved or picked: Concat, Slice, Gather, ...
  layout,       // Transpose: of the model, or between channels first and last
  conversion,   // of reals to codes or back, or to another grid: no node of the model
  control,      // If, Loop, Scan, without what their bodies do
};
/// "convolution", "depthwise convolution", "matrix product", ...
std::string_view name_of(StepKind kind);

/// One execution of a step, in seconds since profiling was switched on.
struct StepRun {
  int run = 0;  // of the program, from 0
  double begin_s = 0, end_s = 0;
};

/// One line of a profile: a step of the program, in the order in which they run.
struct StepProfile {
  std::string node;    // with the path of its body; of a conversion, the value
  std::string op;      // of a conversion "Quantize", "Dequantize", "Requantize" or "Round"
  std::string kernel;  // "conv u8s8 3x3 avx512_vnni"; "eval" where the operator has none
  /// Kernels of the operator that were asked before, and why they do not run this node: "conv on u8
  /// codes: input 0 has no codes of 8 bits".
  std::vector<std::string> refused;
  StepKind kind = StepKind::elementwise;
  /// Of a step that multiplies, what its products are of: f32, i8 or i16. Of others i8 if they work
  /// on codes, i64 if they give no reals (shapes, indices, truth values), else f32.
  DType arithmetic = DType::f32;
  std::string result;  // type and shape of its first output in memory: "u8[1,32,32,16]"
  /// Of one execution. Multiplications with their additions, of convolutions and products.
  int64_t macs = 0;
  /// Of one execution, from shapes and widths: each operand once; what picks elements reads as many
  /// as it writes. nullopt where sizes are known only while running.
  std::optional<uint64_t> weight_bytes, read_bytes, written_bytes;
  double seconds = 0;               // over all runs since profiling was switched on
  std::vector<double> run_seconds;  // of each run; what its bodies take is not in it
  std::vector<StepRun> runs;        // with its bodies
};

/// A compiled graph:
///   nibble::Program program = nibble::compile(nibble::load_onnx("model.onnx"), {.threads = 2});
///   nibble::Tensor image(nibble::DType::f32, program.input_types()[0].shape);
///   std::span<const float> scores = program.run({image})[0].data<float>();
/// One run at a time; for several at once, each thread has a twin().
class Program {
 public:
  Program(Program&&) noexcept;
  Program& operator=(Program&&) noexcept;
  ~Program();

  const std::vector<std::string>& input_names() const;
  const std::vector<TensorType>& input_types() const;
  const std::vector<std::string>& output_names() const;
  const std::vector<TensorType>& output_types() const;

  /// Inputs in input_names() order. Wrong element type, rank or extent: Error{invalid_argument}
  /// naming the input. The results borrow the program's memory and are valid until the next run;
  /// clone() to keep one.
  std::span<const Tensor> run(std::span<const Tensor> inputs);
  std::span<const Tensor> run(std::initializer_list<Tensor> inputs);

  /// A program that does the same, for another thread: it has memory of its own for what it
  /// computes, and weights and threads in common with this one. (Where several runs want the
  /// threads at once, one gets them, and the others go on alone.) It does not observe, nor profile.
  /// May be called while this program runs.
  Program twin() const;

  /// Called after each value is computed, in real numbers, with its id in the graph that was
  /// compiled. Needs CompileOptions::optimize = false to see them all.
  using Observer = std::function<void(ValueId, const Tensor&)>;
  void observe(Observer observer);
  /// The same for the values in bodies of If, Loop and Scan, at each iteration: `path` says which
  /// body ("loop1/body/", empty for no body), the id holds in that body. Values that a body
  /// captures are not among them: they are the graph's around it.
  using BodyObserver = std::function<void(const std::string& path, ValueId, const Tensor&)>;
  void observe_bodies(BodyObserver observer);

  int threads() const;
  size_t arena_bytes() const;  // activations, after reuse
  /// Weights as the kernels hold them; those of bodies count once they ran.
  size_t constant_bytes() const;
  /// Number of nodes run by integer kernels, and all nodes; those of bodies count once they ran.
  struct Coverage {
    int integer_nodes = 0;
    int nodes = 0;
  };
  Coverage coverage() const;
  /// Switched on, each run leaves the times of its steps; switched on again, it starts anew. While
  /// it is off it costs a comparison for each step. Times are this program's alone: others may run
  /// in other threads.
  void profile(bool on);
  /// Held, it lets runs pass without a clock, and keeps what it has.
  void hold_profile(bool held);
  /// Of the input shapes that ran last.
  std::vector<StepProfile> profile() const;

  struct Impl;
  explicit Program(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
};

/// Throws Error{unsupported} for an operator that is not in the table, Error{invalid_model} for
/// types that do not fit.
Program compile(const Graph& graph, const CompileOptions& options = {});

}  // namespace nibble
#pragma GCC visibility pop
