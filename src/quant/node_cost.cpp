#include "quant/node_cost.h"

#include <algorithm>

#include "ops/roles.h"

namespace nibble {
namespace {

// Operators on integers have a weight as well, at their own inputs.
const WeightRole* integer_role(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  const bool integer = row != nullptr && row->quant == QuantRole::opaque_codes && row->weights;
  return integer ? &row->weights : nullptr;
}

}  // namespace

ParameterCounter::ParameterCounter(const Graph& graph, ParameterCounter* outer)
    : graph_(graph), outer_(outer) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (graph.value({i}).is_constant()) known_.insert({i});
  }
  if (outer_ != nullptr) add_known_captures();
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const ValueId output : node.outputs) {
      if (!output) continue;
      producer_[output] = id;
      if (is_constant(node)) known_.insert(output);
    }
  }
}

void ParameterCounter::add_known_captures() {
  std::set<ValueId> own(graph_.inputs.begin(), graph_.inputs.end());
  for (const NodeId id : graph_.nodes()) {
    own.insert(graph_.node(id).outputs.begin(), graph_.node(id).outputs.end());
  }
  for (int32_t i = 0; i < graph_.value_count(); ++i) {
    const Value& value = graph_.value({i});
    if (value.is_constant() || own.contains({i}) || value.name.empty()) continue;
    const auto captured = outer_->graph_.find_value(value.name);
    if (captured && outer_->known_.contains(*captured)) known_.insert({i});
  }
}

bool ParameterCounter::is_constant(const Node& node) const {
  const auto known = [&](ValueId id) { return !id || known_.contains(id); };
  return !node.inputs.empty() && std::ranges::all_of(node.inputs, known) &&
         std::ranges::all_of(node.captures, known);
}

void ParameterCounter::add_roots(ValueId id, Roots& roots) const {
  if (!id) return;
  const Value& value = graph_.value(id);
  if (value.is_constant()) {
    roots.insert(&value);
  } else if (known_.contains(id) && producer_.contains(id)) {
    for (const ValueId input : graph_.node(producer_.at(id)).inputs) add_roots(input, roots);
  } else if (outer_ != nullptr && !producer_.contains(id) && !graph_.is_input(id)) {
    if (const auto captured = outer_->graph_.find_value(value.name)) {
      outer_->add_roots(*captured, roots);
    }
  }
}

ParameterCount ParameterCounter::count(const Node& node) {
  Roots roots;
  if (const WeightRole* role = integer_role(node)) {
    add_roots(node.input(role->weight), roots);
    add_roots(node.input(role->bias), roots);
  } else if (!is_constant(node)) {
    for (const ValueId input : node.inputs) add_roots(input, roots);
    std::erase_if(roots, [](const Value* value) {
      return !is_float(value->type.dtype) || value->type.shape.rank() == 0;
    });
  }
  ParameterCount count;
  for (const Value* root : roots) {
    count.all += root->data.elements();
    if (seen().insert(root).second) count.first_seen += root->data.elements();
  }
  return count;
}

ParameterCounter& ParameterCounters::add(const Graph& graph, const Graph* outer) {
  ParameterCounter* around = outer == nullptr ? nullptr : &counters_.at(outer);
  return counters_.try_emplace(&graph, graph, around).first->second;
}

}  // namespace nibble
