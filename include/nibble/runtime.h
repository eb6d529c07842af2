// compile(Graph) -> Program: float, integer or mixed execution with a memory plan.
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
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

/// One line of a profile.
struct StepProfile {
  std::string node;
  std::string op;
  std::string kernel;
  double seconds = 0;  // total over all runs since profiling started
  /// Kernels of the operator that were asked before, and why they do not run this node: "conv on u8
  /// codes: input 0 has no codes of 8 bits".
  std::vector<std::string> refused;
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

  size_t arena_bytes() const;  // activations, after reuse
  /// Weights as the kernels hold them; those of bodies count once they ran.
  size_t constant_bytes() const;
  /// Number of nodes run by integer kernels, and all nodes; those of bodies count once they ran.
  struct Coverage {
    int integer_nodes = 0;
    int nodes = 0;
  };
  Coverage coverage() const;
  void profile(bool on);
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
