// The public face of a compiled graph. Where input dimensions are unknown, the graph is compiled
// again for each set of input shapes it meets, so that it runs planned and with integer kernels all
// the same.
#include <algorithm>
#include <list>
#include <optional>

#include "base/check.h"
#include "nibble/runtime.h"
#include "runtime/lower.h"
#include "runtime/step_profile.h"
#include "runtime/subgraph.h"

namespace nibble {
namespace {

constexpr size_t kShapesKept = 4;

bool fits(const Tensor& tensor, const TensorType& type) {
  if (tensor.dtype() != type.dtype) return false;
  if (!type.shape.has_rank()) return true;
  if (tensor.shape().rank() != type.shape.rank()) return false;
  for (int axis = 0; axis < type.shape.rank(); ++axis) {
    if (type.shape[axis] >= 0 && type.shape[axis] != tensor.shape()[axis]) return false;
  }
  return true;
}

void count_nodes(const Executable& executable, Program::Coverage& coverage) {
  coverage.integer_nodes += executable.integer_nodes;
  coverage.nodes += executable.node_count;
  for (const Step& step : executable.steps) {
    if (!step.bodies) continue;
    for (const BodyRunner::Body* body : step.bodies->that_ran()) {
      count_nodes(*body->executable, coverage);
    }
  }
}

}  // namespace

struct Program::Impl {
  Graph source;
  CompileOptions options;
  std::unique_ptr<ThreadPool> pool;
  Observer observer;
  BodyObserver body_observer;
  std::optional<StepClock> clock;  // while profiling
  bool held = false;
  std::vector<std::string> input_names, output_names;
  std::vector<TensorType> input_types, output_types;
  bool is_static = true;
  /// For the shapes as declared, or, if some are unknown, for shapes met; most recent first.
  std::list<std::unique_ptr<Executable>> executables;

  Impl(const Graph& graph, const CompileOptions& compile_options)
      : source(graph),
        options(compile_options),
        pool(std::make_unique<ThreadPool>(compile_options.threads)) {
    executables.push_back(build_executable(source, options, *pool));
    const Graph& compiled = executables.front()->graph;
    for (ValueId id : compiled.inputs) {
      input_names.push_back(compiled.value(id).name);
      input_types.push_back(compiled.value(id).type);
      is_static = is_static && input_types.back().shape.is_static();
    }
    if (is_static) source = {};  // will not be compiled again
    for (ValueId id : compiled.outputs) {
      output_names.push_back(compiled.value(id).name);
      output_types.push_back(compiled.value(id).type);
    }
  }

  void check_inputs(std::span<const Tensor> inputs) const;
  Executable& executable_for(std::span<const Tensor> inputs);
};

void Program::Impl::check_inputs(std::span<const Tensor> inputs) const {
  if (inputs.size() != input_types.size()) {
    fail(ErrorCode::invalid_argument, "the model takes {} inputs, got {}", input_types.size(),
         inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (fits(inputs[i], input_types[i])) continue;
    fail(ErrorCode::invalid_argument, "input '{}' is {}{}, the model takes {}", input_names[i],
         name_of(inputs[i].dtype()), inputs[i].shape().to_string(),
         to_string(TensorType{input_types[i].dtype, input_types[i].shape, {}}));
  }
}

Executable& Program::Impl::executable_for(std::span<const Tensor> inputs) {
  if (is_static) return *executables.front();
  const auto matches = [&](const std::unique_ptr<Executable>& candidate) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      const auto slot = static_cast<size_t>(candidate->inputs[i]);
      if (!(candidate->slots[slot].type.shape == inputs[i].shape())) return false;
    }
    return true;
  };
  const auto known = std::ranges::find_if(executables, matches);
  if (known != executables.end()) {
    executables.splice(executables.begin(), executables, known);
    return *executables.front();
  }
  CompileOptions specific = options;
  for (size_t i = 0; i < inputs.size(); ++i) {
    specific.input_shapes[input_names[i]] = inputs[i].shape();
  }
  executables.push_front(build_executable(source, specific, *pool));
  if (executables.size() > kShapesKept) executables.pop_back();
  return *executables.front();
}

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const std::vector<std::string>& Program::input_names() const { return impl_->input_names; }
const std::vector<TensorType>& Program::input_types() const { return impl_->input_types; }
const std::vector<std::string>& Program::output_names() const { return impl_->output_names; }
const std::vector<TensorType>& Program::output_types() const { return impl_->output_types; }

std::span<const Tensor> Program::run(std::span<const Tensor> inputs) {
  impl_->check_inputs(inputs);
  Executable& executable = impl_->executable_for(inputs);
  const bool timed = impl_->clock && !impl_->held;
  if (timed) ++impl_->clock->run;
  return executable.run(inputs,
                        {.pool = *impl_->pool,
                         .observer = impl_->observer ? &impl_->observer : nullptr,
                         .body_observer = impl_->body_observer ? &impl_->body_observer : nullptr,
                         .path = {},
                         .clock = timed ? &*impl_->clock : nullptr});
}

void Program::observe(Observer observer) { impl_->observer = std::move(observer); }

void Program::observe_bodies(BodyObserver observer) { impl_->body_observer = std::move(observer); }

int Program::threads() const { return impl_->pool->threads(); }
size_t Program::arena_bytes() const { return impl_->executables.front()->arena_bytes(); }
size_t Program::constant_bytes() const { return impl_->executables.front()->constant_bytes(); }

Program::Coverage Program::coverage() const {
  Coverage coverage;
  count_nodes(*impl_->executables.front(), coverage);
  return coverage;
}

void Program::profile(bool on) {
  impl_->clock.reset();
  impl_->held = false;
  if (!on) return;
  for (const auto& executable : impl_->executables) forget_times(*executable);
  impl_->clock = StepClock{.start = std::chrono::steady_clock::now(), .run = -1};
}

void Program::hold_profile(bool held) { impl_->held = held; }

std::vector<StepProfile> Program::profile() const {
  return profile_of(*impl_->executables.front());
}

Program compile(const Graph& graph, const CompileOptions& options) {
  return Program(std::make_unique<Program::Impl>(graph, options));
}

}  // namespace nibble
