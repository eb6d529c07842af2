#include "report/workload.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "nibble/data.h"
#include "report/random_inputs.h"

namespace nibble {
namespace {

constexpr int kWarmUpRuns = 3;

// The input's shape with `batch` for an unknown first dimension.
Shape input_shape(const Value& input, const WorkloadOptions& options) {
  const auto given = options.input_shapes.find(input.name);
  if (given != options.input_shapes.end()) return given->second;
  Shape shape = input.type.shape;
  if (shape.rank() > 0 && shape[0] < 0) shape[0] = options.batch;
  if (!shape.has_rank() || !shape.is_static()) {
    fail(ErrorCode::invalid_argument,
         "the input '{}' is {}: give its shape to measure the model, with --shape {}=1x16 say",
         input.name, to_string(input.type), input.name);
  }
  return shape;
}

size_t position(const Graph& graph, const std::vector<ValueId>& ids, const std::string& name) {
  const auto at = std::ranges::find(ids, name, [&](ValueId id) { return graph.value(id).name; });
  check(at != ids.end(), "stored_carry() names inputs and outputs of the graph");
  return static_cast<size_t>(at - ids.begin());
}

Program make(const Graph& graph, const WorkloadOptions& options) {
  CompileOptions compile_options{.threads = options.threads};
  for (ValueId id : graph.inputs) {
    const Value& input = graph.value(id);
    compile_options.input_shapes[input.name] = input_shape(input, options);
  }
  return compile(graph, compile_options);
}

}  // namespace

Workload::Workload(const Graph& graph, const WorkloadOptions& options)
    : program_(make(graph, options)) {
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Value& input = graph.value(graph.inputs[i]);
    const Shape shape = input_shape(input, options);
    inputs_.push_back(random_input(graph, graph.inputs[i], shape, options.seed + i));
    if (i == 0 && shape.rank() > 0) batch_ = shape[0];
  }
  for (const auto& [input, output] : stored_carry(graph)) {
    states_.push_back({position(graph, graph.inputs, input), position(graph, graph.outputs, output),
                       fmt::format("{}={}", output, input)});
    Tensor& start = inputs_[states_.back().input];
    start = Tensor(start.dtype(), start.shape());
  }
}

void Workload::run_once() {
  const std::span<const Tensor> outputs = program_.run(inputs_);
  for (const State& state : states_) {
    Tensor& input = inputs_[state.input];
    if (outputs[state.output].shape() != input.shape()) {
      fail(ErrorCode::invalid_argument,
           "the state {} cannot be carried from run to run: it goes in as {} and comes out as {}; "
           "give its shape with --shape",
           state.name, input.shape().to_string(), outputs[state.output].shape().to_string());
    }
    std::memcpy(input.raw(), outputs[state.output].raw(), input.bytes());
  }
}

void Workload::warm_up(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  for (int run = 0; run < kWarmUpRuns || passed() < seconds; ++run) {
    run_once();
    // A graph slower than the whole warm-up has warmed up by then.
    if (run > 0 && passed() > 10 * seconds) break;
  }
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

}  // namespace nibble
