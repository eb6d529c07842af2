// What compile() makes of a graph: a list of steps over slots. A slot is one value in one form; a
// graph value may have several: its real numbers, and its codes in one or another storage.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "nibble/runtime.h"
#include "ops/op.h"
#include "runtime/memory_plan.h"

namespace nibble {

class BodyRunner;

struct Slot {
  enum class Home : uint8_t {
    constant,  // known since compile()
    input,     // the caller's memory
    arena,     // static type: a place in the memory plan
    heap,      // its shape is known only when it is computed
  };
  Home home = Home::heap;
  TensorType type;   // of the real value: its dtype and shape, never `quant`
  Form form;         // how it lies in memory
  int view_of = -1;  // the slot whose bytes this one shows under another shape
  Tensor tensor;

  DType stored() const { return form.stored(type.dtype); }
  size_t bytes() const;  // of a static type
};

/// A step that no node of the graph asked for: a value changes its form, or (from real to real) is
/// rounded to the grid of its type.
struct Conversion {
  std::string name;  // of the value
  ValueId value;
  Form from, to;

  bool quantizes() const { return !from.is_codes() && to.is_codes(); }
  /// "Quantize", "Dequantize", "Requantize" or "Round".
  std::string_view op() const;
};

/// A row of the operator's kernels that could not do the step, and why.
struct Refusal {
  std::string_view kernel;
  std::string reason;
};

struct Step {
  const Node* node = nullptr;  // of the executable's graph; nullptr: a conversion
  std::optional<Conversion> conversion;
  const OpRow* row = nullptr;            // evaluates the step when there is no kernel
  std::shared_ptr<const Kernel> kernel;  // twins have it in common
  std::shared_ptr<BodyRunner> bodies;
  bool integer = false;  // on codes, for Program::coverage
  std::vector<Refusal> refusals;
  std::vector<int> inputs;    // slots; -1: an input left out, or one that the kernel has packed
  std::vector<int> outputs;   // slots; -1: an output nobody wants
  std::vector<int> captures;  // slots that the bodies read, parallel to node->captures
  /// Graph values that are complete after this step, and the slot that shows them.
  std::vector<std::pair<ValueId, int>> completes;

  // Set by Executable::finish.
  std::vector<Tensor> in;
  std::vector<Tensor> out;
  void* workspace = nullptr;
  bool rebind = false;        // some input does not stay in one place
  std::vector<int> release;   // heap slots that nothing reads afterwards
  std::vector<StepRun> runs;  // while profiling

  /// "node conv1 (Conv)", or what is converted: for messages.
  std::string describe() const;
};

/// Of a run that is profiled.
struct StepClock {
  std::chrono::steady_clock::time_point start;  // of profiling
  int run = 0;                                  // counts runs from then on
  double now() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
};

class Executable {
 public:
  explicit Executable(Graph compiled) : Executable(std::make_shared<Graph>(std::move(compiled))) {}
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  struct RunOptions {
    ThreadPool& pool;
    const Program::Observer* observer = nullptr;
    const Program::BodyObserver* body_observer = nullptr;
    std::string path;                  // of the graph, if it is a body: "loop1/body/"
    const StepClock* clock = nullptr;  // steps leave their times if there is one
  };

  /// Plans the arena and binds every step to its memory. Called once, when all steps are there.
  void finish();
  /// The same steps over the same constants and kernels, with memory of their own and nothing
  /// compiled yet of bodies: to run beside this one. Reads only what no run changes, so this one
  /// may be running.
  std::unique_ptr<Executable> twin() const;
  /// Inputs must have the types of the input slots. The results are valid until the next run.
  std::span<const Tensor> run(std::span<const Tensor> values, const RunOptions& options);

  size_t arena_bytes() const { return arena_.bytes(); }
  size_t constant_bytes() const;

  /// Its nodes stay where they are: steps and kernels point at them. Its constants are gone once
  /// lowered; what is still needed of them is in slots and kernels.
  Graph& graph;
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::vector<int> inputs;                              // slots
  std::vector<int> outputs;                             // slots
  std::vector<std::pair<ValueId, int>> known_at_start;  // graph inputs, for the observer
  int integer_nodes = 0;
  int node_count = 0;
  const RunOptions* running = nullptr;  // of the run that is going on: its bodies run likewise

 private:
  explicit Executable(std::shared_ptr<Graph> shared) : graph(*shared), graph_owner_(shared) {}
  void plan();
  void find_lives();
  void share_blocks();
  void bind();
  void execute(Step& step, const RunOptions& options);
  void compute(Step& step, const RunOptions& options);
  void observe(std::span<const std::pair<ValueId, int>> values, const RunOptions& options) const;
  int root(int slot) const;

  std::shared_ptr<Graph> graph_owner_;             // twins have it in common
  std::vector<std::optional<MemoryBlock>> lives_;  // by slot; of those with a block of their own
  std::vector<int> block_of_;  // by slot: the slot whose block it lies in, mostly itself
  Tensor arena_;
  std::vector<int> input_views_;
  std::vector<Tensor> results_;
};

}  // namespace nibble
