#include "runtime/subgraph.h"

#include <algorithm>

#include "base/check.h"
#include "passes/every_graph.h"
#include "runtime/lower.h"

namespace nibble {
namespace {

// A loop whose shapes grow in each iteration must not keep them all.
constexpr size_t kBodiesKept = 8;

TensorType type_of(const Tensor& tensor) {
  return {.dtype = tensor.dtype(), .shape = tensor.shape(), .quant = {}};
}

}  // namespace

// The body with its input types filled in. Captured constants become its own; other captured values
// become further inputs.
Graph BodyRunner::specialise(std::string_view attribute, std::span<const Tensor> inputs,
                             Body& body) const {
  const Attribute* found = node_.attributes.find(attribute);
  const auto* source =
      found != nullptr ? std::get_if<std::shared_ptr<const Graph>>(found) : nullptr;
  if (source == nullptr) fail(ErrorCode::invalid_model, "subgraph '{}' is missing", attribute);
  Graph graph = **source;
  if (graph.inputs.size() != inputs.size()) {
    fail(ErrorCode::invalid_model, "subgraph '{}' takes {} inputs, but is given {}", attribute,
         graph.inputs.size(), inputs.size());
  }
  if (graph.opsets.empty()) graph.opsets = owner_.graph.opsets;
  // The body's own grids stay: it rounds what it is given.
  const auto give_type = [&](ValueId id, const Tensor& tensor) {
    TensorType& type = graph.value(id).type;
    type.dtype = tensor.dtype();
    type.shape = tensor.shape();
  };
  for (size_t i = 0; i < inputs.size(); ++i) give_type(graph.inputs[i], inputs[i]);
  for (size_t i = 0; i < captures_.size(); ++i) {
    const Slot& slot = owner_.slots[static_cast<size_t>(captures_[i])];
    const auto inner = graph.find_value(owner_.graph.value(node_.captures[i]).name);
    if (!inner || graph.is_input(*inner) || graph.value(*inner).is_constant() ||
        graph.producer(*inner)) {
      continue;
    }
    give_type(*inner, slot.tensor);
    if (slot.home == Slot::Home::constant) {
      graph.value(*inner).data = slot.tensor;
      graph.value(*inner).type.quant.reset();
    } else {
      graph.inputs.push_back(*inner);
      body.captured.push_back(captures_[i]);
    }
  }
  return graph;
}

BodyRunner::Body& BodyRunner::find(std::string_view attribute, std::span<const Tensor> inputs) {
  const auto fits = [&](const Body& body) {
    if (body.attribute != attribute) return false;
    size_t i = 0;
    const auto same = [&](const Tensor& tensor) { return body.types[i++] == type_of(tensor); };
    return std::ranges::all_of(inputs, same) && std::ranges::all_of(body.captured, [&](int slot) {
             return same(owner_.slots[static_cast<size_t>(slot)].tensor);
           });
  };
  const auto known = std::ranges::find_if(bodies_, fits);
  if (known != bodies_.end()) {
    bodies_.splice(bodies_.begin(), bodies_, known);
    return bodies_.front();
  }
  Body body{std::string(attribute), {}, {}, nullptr};
  Graph graph = specialise(attribute, inputs, body);
  for (ValueId input : graph.inputs) {
    const TensorType& type = graph.value(input).type;
    body.types.push_back({.dtype = type.dtype, .shape = type.shape, .quant = {}});
  }
  CompileOptions options = options_;
  options.input_shapes.clear();
  for (ValueId input : graph.inputs) {
    options.input_shapes[graph.value(input).name] = graph.value(input).type.shape;
  }
  const std::vector<ValueId> given = graph.inputs;
  body.executable = build_executable(std::move(graph), options, pool_);
  // What is captured is seen where it is computed.
  std::erase_if(body.executable->known_at_start, [&](const auto& entry) {
    return std::find(given.begin() + std::ssize(inputs), given.end(), entry.first) != given.end();
  });
  if (bodies_.size() == kBodiesKept) bodies_.pop_back();
  bodies_.push_front(std::move(body));
  return bodies_.front();
}

std::vector<const BodyRunner::Body*> BodyRunner::that_ran() const {
  std::vector<const Body*> latest;
  for (const Body& body : bodies_) {
    const auto same = [&](const Body* seen) { return seen->attribute == body.attribute; };
    if (std::ranges::none_of(latest, same)) latest.push_back(&body);
  }
  return latest;
}

std::vector<Tensor> BodyRunner::run(std::string_view attribute, std::span<const Tensor> inputs) {
  Body& body = find(attribute, inputs);
  std::vector<Tensor> all(inputs.begin(), inputs.end());
  for (int slot : body.captured) all.push_back(owner_.slots[static_cast<size_t>(slot)].tensor);
  Executable::RunOptions options{.pool = pool_};
  if (const Executable::RunOptions* outer = owner_.running) {
    options.clock = outer->clock;
    options.body_observer = outer->body_observer;
    options.path = body_path(outer->path, node_, body.attribute);
  }
  std::vector<Tensor> results;
  for (const Tensor& result : body.executable->run(all, options)) {
    results.push_back(result.clone());
  }
  return results;
}

}  // namespace nibble
