#include "runtime/executable.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/lengths.h"
#include "runtime/subgraph.h"

namespace nibble {

size_t Slot::bytes() const { return storage_bytes(stored(), type.shape.elements()); }

std::string_view Conversion::op() const {
  if (quantizes()) return "Quantize";
  if (!from.is_codes()) return "Round";
  return to.is_codes() ? "Requantize" : "Dequantize";
}

std::string Step::describe() const {
  if (node != nullptr) return nibble::describe(*node);
  return fmt::format("{} of '{}'", conversion->op(), conversion->name);
}

int Executable::root(int slot) const {
  while (slots[static_cast<size_t>(slot)].view_of >= 0) {
    slot = slots[static_cast<size_t>(slot)].view_of;
  }
  return slot;
}

namespace {

template <typename Body>
void for_each_read(const Step& step, Body&& body) {
  for (int slot : step.inputs) {
    if (slot >= 0) body(slot);
  }
  for (int slot : step.captures) body(slot);
}

}  // namespace

void Executable::finish() {
  plan();
  bind();
}

std::unique_ptr<Executable> Executable::twin() const {
  std::unique_ptr<Executable> twin(new Executable(graph_owner_));
  for (const Slot& slot : slots) {
    const bool stays = slot.home == Slot::Home::constant && slot.view_of < 0;
    twin->slots.push_back({.home = slot.home,
                           .type = slot.type,
                           .form = slot.form,
                           .view_of = slot.view_of,
                           .tensor = stays ? slot.tensor : Tensor()});
  }
  for (const Step& step : steps) {
    Step& copy = twin->steps.emplace_back();
    copy.node = step.node;
    copy.conversion = step.conversion;
    copy.row = step.row;
    copy.kernel = step.kernel;
    if (step.bodies) copy.bodies = step.bodies->twin(*twin);
    copy.integer = step.integer;
    copy.refusals = step.refusals;
    copy.inputs = step.inputs;
    copy.outputs = step.outputs;
    copy.captures = step.captures;
    copy.completes = step.completes;
  }
  twin->inputs = inputs;
  twin->outputs = outputs;
  twin->known_at_start = known_at_start;
  twin->integer_nodes = integer_nodes;
  twin->node_count = node_count;
  twin->finish();
  return twin;
}

// When each value that is no view is needed: from the step that computes it to the last that reads
// it or one of its views.
void Executable::find_lives() {
  const int end = static_cast<int>(steps.size());
  lives_.assign(slots.size(), std::nullopt);
  const auto read_until = [&](int slot, int step) {
    if (auto& life = lives_[static_cast<size_t>(root(slot))]) life->last = step;
  };
  for (int index = 0; index < end; ++index) {
    const Step& step = steps[static_cast<size_t>(index)];
    for_each_read(step, [&](int slot) { read_until(slot, index); });
    for (int output : step.outputs) {
      if (output < 0) continue;
      const Slot& slot = slots[static_cast<size_t>(output)];
      if (slot.home != Slot::Home::arena) continue;
      check(slot.view_of < 0, "no step may compute a view");
      lives_[static_cast<size_t>(output)] = MemoryBlock{slot.bytes(), index, index};
    }
  }
  for (int slot : outputs) read_until(slot, end);
}

// In place: the output joins the block of an input that dies where the output is born.
void Executable::share_blocks() {
  block_of_.resize(slots.size());
  std::iota(block_of_.begin(), block_of_.end(), 0);
  for (int index = 0; index < static_cast<int>(steps.size()); ++index) {
    const Step& step = steps[static_cast<size_t>(index)];
    if (!step.kernel || step.outputs.empty() || step.outputs[0] < 0) continue;
    auto& output = lives_[static_cast<size_t>(step.outputs[0])];
    for (size_t i = 0; output && i < step.inputs.size(); ++i) {
      if (step.inputs[i] < 0 || !step.kernel->in_place(i)) continue;
      const int block = block_of_[static_cast<size_t>(root(step.inputs[i]))];
      auto& input = lives_[static_cast<size_t>(block)];
      if (!input || input->last != index || input->bytes != output->bytes) continue;
      input->last = output->last;
      output.reset();
      block_of_[static_cast<size_t>(step.outputs[0])] = block;
    }
  }
}

void Executable::plan() {
  find_lives();
  share_blocks();
  std::vector<MemoryBlock> blocks;
  std::vector<size_t> index_of(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!lives_[i]) continue;
    index_of[i] = blocks.size();
    blocks.push_back(*lives_[i]);
  }
  const size_t first_workspace = blocks.size();
  for (size_t i = 0; i < steps.size(); ++i) {
    const int at = static_cast<int>(i);
    blocks.push_back({steps[i].kernel ? steps[i].kernel->workspace_bytes() : 0, at, at});
  }
  const MemoryPlan plan = plan_memory(blocks);
  arena_ = Tensor(DType::u8, {static_cast<int64_t>(plan.bytes)});
  auto* base = static_cast<std::byte*>(arena_.raw());
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    const auto block = static_cast<size_t>(block_of_[i]);
    if (slot.home != Slot::Home::arena || slot.view_of >= 0 || !lives_[block]) continue;
    slot.tensor =
        Tensor::borrow(slot.stored(), slot.type.shape, base + plan.offsets[index_of[block]]);
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i].workspace = base + plan.offsets[first_workspace + i];
  }
}

void Executable::bind() {
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    if (slot.view_of < 0) continue;
    const Slot& source = slots[static_cast<size_t>(root(static_cast<int>(i)))];
    if (source.home == Slot::Home::input) {
      input_views_.push_back(static_cast<int>(i));
    } else {
      slot.tensor = source.tensor.reshaped(slot.type.shape);
    }
  }
  std::vector<int> last_reader(slots.size(), -1);
  for (size_t index = 0; index < steps.size(); ++index) {
    Step& step = steps[index];
    for_each_read(
        step, [&](int slot) { last_reader[static_cast<size_t>(slot)] = static_cast<int>(index); });
    for (int slot : step.inputs) {
      step.in.push_back(slot < 0 ? Tensor() : slots[static_cast<size_t>(slot)].tensor);
      step.rebind = step.rebind || (slot >= 0 && step.in.back().empty());
    }
    for (int slot : step.outputs) {
      step.out.push_back(slot < 0 ? Tensor() : slots[static_cast<size_t>(slot)].tensor);
    }
  }
  const std::set<int> kept(outputs.begin(), outputs.end());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].home == Slot::Home::heap && last_reader[i] >= 0 &&
        !kept.contains(static_cast<int>(i))) {
      steps[static_cast<size_t>(last_reader[i])].release.push_back(static_cast<int>(i));
    }
  }
  results_.resize(outputs.size());
}

std::span<const Tensor> Executable::run(std::span<const Tensor> values, const RunOptions& options) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    slots[static_cast<size_t>(inputs[i])].tensor = values[i];
  }
  for (int view : input_views_) {
    Slot& slot = slots[static_cast<size_t>(view)];
    slot.tensor = slots[static_cast<size_t>(root(view))].tensor.reshaped(slot.type.shape);
  }
  running = &options;
  const bool observed = options.observer != nullptr || options.body_observer != nullptr;
  if (observed) observe(known_at_start, options);
  for (Step& step : steps) {
    if (options.clock == nullptr) {
      execute(step, options);
    } else {
      const double begin = options.clock->now();
      execute(step, options);
      step.runs.push_back({options.clock->run, begin, options.clock->now()});
    }
    if (observed) observe(step.completes, options);
    for (int slot : step.release) slots[static_cast<size_t>(slot)].tensor = Tensor();
  }
  running = nullptr;
  for (size_t i = 0; i < outputs.size(); ++i) {
    results_[i] = slots[static_cast<size_t>(outputs[i])].tensor;
  }
  return results_;
}

void Executable::execute(Step& step, const RunOptions& options) {
  if (step.row == nullptr && !step.kernel) return;  // a view
  with_context([&] { return step.describe(); },
               [&] { with_lengths_from_model([&] { compute(step, options); }); });
}

void Executable::compute(Step& step, const RunOptions& options) {
  if (step.rebind) {
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (step.inputs[i] >= 0) step.in[i] = slots[static_cast<size_t>(step.inputs[i])].tensor;
    }
  }
  static const Node kConversion;
  EvalContext context(step.node != nullptr ? *step.node : kConversion, graph.opset(), step.in,
                      step.out, options.pool);
  context.subgraphs = step.bodies.get();
  context.workspace = step.workspace;
  if (step.kernel) {
    step.kernel->run(context);
  } else {
    step.row->eval.function(context);
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] < 0) continue;
    Slot& slot = slots[static_cast<size_t>(step.outputs[i])];
    if (slot.home == Slot::Home::heap) {
      slot.tensor = std::move(step.out[i]);
      step.out[i] = Tensor();
    } else if (step.out[i].raw() != slot.tensor.raw()) {
      fail(ErrorCode::invalid_model, "output {} is {}{}, but its inferred type is {}", i,
           name_of(step.out[i].dtype()), step.out[i].shape().to_string(), to_string(slot.type));
    }
  }
  if (step.rebind) {
    for (Tensor& tensor : step.in) {
      if (!step.release.empty()) tensor = Tensor();
    }
  }
}

void Executable::observe(std::span<const std::pair<ValueId, int>> values,
                         const RunOptions& options) const {
  for (const auto& [id, index] : values) {
    const Slot& slot = slots[static_cast<size_t>(index)];
    const bool is_body = !options.path.empty();
    if (is_body ? options.body_observer == nullptr : options.observer == nullptr) return;
    const Tensor real =
        slot.form.is_codes() ? dequantize_tensor(slot.tensor, *slot.form.grid) : slot.tensor;
    if (is_body) {
      (*options.body_observer)(options.path, id, real);
    } else {
      (*options.observer)(id, real);
    }
  }
}

size_t Executable::constant_bytes() const {
  size_t bytes = 0;
  std::set<const void*> counted;  // tensors share bytes
  for (const Slot& slot : slots) {
    if (slot.home != Slot::Home::constant || slot.view_of >= 0) continue;
    if (counted.insert(slot.tensor.raw()).second) bytes += slot.tensor.bytes();
  }
  for (const Step& step : steps) {
    bytes += step.kernel ? step.kernel->constant_bytes() : 0;
    if (!step.bodies) continue;
    // One body compiled for several shapes counts once.
    for (const BodyRunner::Body* body : step.bodies->that_ran()) {
      bytes += body->executable->constant_bytes();
    }
  }
  return bytes;
}

}  // namespace nibble
