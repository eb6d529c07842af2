// The public face of a compiled graph. Where input dimensions are unknown, the graph is compiled
// again for each set of input shapes it meets, so that it runs planned and with integer kernels all
// the same.
#include <algorithm>
#include <list>
#include <mutex>
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

// What twins have in common. Executables belong to programs; those of others are known here, so
// that what was compiled for a set of shapes is not compiled again while it lives.
struct Common {
  Graph source;
  CompileOptions options;
  ThreadPool pool;
  std::vector<std::string> input_names, output_names;
  std::vector<TensorType> input_types, output_types;
  bool is_static = true;

  Common(const Graph& graph, const CompileOptions& compile_options)
      : source(graph), options(compile_options), pool(compile_options.threads) {}

  void describe(const Graph& compiled);
  std::shared_ptr<Executable> build(std::span<const Tensor> inputs);
  std::shared_ptr<Executable> find(std::span<const Tensor> inputs);
  std::shared_ptr<Executable> another();

 private:
  std::shared_ptr<Executable> any();
  std::shared_ptr<Executable> know(std::shared_ptr<Executable> executable);

  std::mutex guard_;
  std::vector<std::weak_ptr<Executable>> known_;
};

void Common::describe(const Graph& compiled) {
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

bool takes(const Executable& executable, std::span<const Tensor> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto slot = static_cast<size_t>(executable.inputs[i]);
    if (!(executable.slots[slot].type.shape == inputs[i].shape())) return false;
  }
  return true;
}

// The first that lives: every program has one.
std::shared_ptr<Executable> Common::any() {
  const std::lock_guard lock(guard_);
  for (const auto& one : known_) {
    if (std::shared_ptr<Executable> executable = one.lock()) return executable;
  }
  check(false, "a program has an executable");
  return nullptr;
}

// One for these shapes, if some program has it.
std::shared_ptr<Executable> Common::find(std::span<const Tensor> inputs) {
  const std::lock_guard lock(guard_);
  for (const auto& one : known_) {
    std::shared_ptr<Executable> executable = one.lock();
    if (executable && takes(*executable, inputs)) return executable;
  }
  return nullptr;
}

// Two threads that need the same shapes at once may both compile for them.
std::shared_ptr<Executable> Common::build(std::span<const Tensor> inputs) {
  std::shared_ptr<Executable> executable;
  if (const auto other = find(inputs)) {
    executable = other->twin();
  } else {
    CompileOptions specific = options;
    for (size_t i = 0; i < inputs.size(); ++i) {
      specific.input_shapes[input_names[i]] = inputs[i].shape();
    }
    executable = build_executable(source, specific, pool);
  }
  return know(std::move(executable));
}

// A twin of some executable: what a new program begins with.
std::shared_ptr<Executable> Common::another() { return know(any()->twin()); }

std::shared_ptr<Executable> Common::know(std::shared_ptr<Executable> executable) {
  const std::lock_guard lock(guard_);
  std::erase_if(known_, [](const auto& one) { return one.expired(); });
  known_.push_back(executable);
  return executable;
}

}  // namespace

struct Program::Impl {
  std::shared_ptr<Common> common;
  Observer observer;
  BodyObserver body_observer;
  std::optional<StepClock> clock;  // while profiling
  bool held = false;
  /// For the shapes as declared, or, if some are unknown, for shapes met; most recent first.
  std::list<std::shared_ptr<Executable>> executables;

  Impl(const Graph& graph, const CompileOptions& options)
      : common(std::make_shared<Common>(graph, options)) {
    executables.push_back(common->build({}));
    common->describe(executables.front()->graph);
  }
  explicit Impl(std::shared_ptr<Common> shared) : common(std::move(shared)) {
    executables.push_back(common->another());
  }

  void check_inputs(std::span<const Tensor> inputs) const;
  Executable& executable_for(std::span<const Tensor> inputs);
};

void Program::Impl::check_inputs(std::span<const Tensor> inputs) const {
  const std::vector<TensorType>& types = common->input_types;
  if (inputs.size() != types.size()) {
    fail(ErrorCode::invalid_argument, "the model takes {} inputs, got {}", types.size(),
         inputs.size());
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (fits(inputs[i], types[i])) continue;
    fail(ErrorCode::invalid_argument, "input '{}' is {}{}, the model takes {}",
         common->input_names[i], name_of(inputs[i].dtype()), inputs[i].shape().to_string(),
         to_string(TensorType{types[i].dtype, types[i].shape, {}}));
  }
}

Executable& Program::Impl::executable_for(std::span<const Tensor> inputs) {
  if (common->is_static) return *executables.front();
  const auto known = std::ranges::find_if(
      executables, [&](const auto& candidate) { return takes(*candidate, inputs); });
  if (known != executables.end()) {
    executables.splice(executables.begin(), executables, known);
    return *executables.front();
  }
  executables.push_front(common->build(inputs));
  if (executables.size() > kShapesKept) executables.pop_back();
  return *executables.front();
}

Program::Program(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const std::vector<std::string>& Program::input_names() const { return impl_->common->input_names; }
const std::vector<TensorType>& Program::input_types() const { return impl_->common->input_types; }
const std::vector<std::string>& Program::output_names() const {
  return impl_->common->output_names;
}
const std::vector<TensorType>& Program::output_types() const { return impl_->common->output_types; }

std::span<const Tensor> Program::run(std::span<const Tensor> inputs) {
  impl_->check_inputs(inputs);
  Executable& executable = impl_->executable_for(inputs);
  const bool timed = impl_->clock && !impl_->held;
  if (timed) ++impl_->clock->run;
  return executable.run(inputs,
                        {.pool = impl_->common->pool,
                         .observer = impl_->observer ? &impl_->observer : nullptr,
                         .body_observer = impl_->body_observer ? &impl_->body_observer : nullptr,
                         .path = {},
                         .clock = timed ? &*impl_->clock : nullptr});
}

std::span<const Tensor> Program::run(std::initializer_list<Tensor> inputs) {
  return run(std::span(inputs.begin(), inputs.size()));
}

Program Program::twin() const { return Program(std::make_unique<Impl>(impl_->common)); }

void Program::observe(Observer observer) { impl_->observer = std::move(observer); }

void Program::observe_bodies(BodyObserver observer) { impl_->body_observer = std::move(observer); }

int Program::threads() const { return impl_->common->pool.threads(); }
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
