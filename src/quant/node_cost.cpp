#include "quant/node_cost.h"

#include <algorithm>

#include "ops/roles.h"

namespace nibble {
namespace {

// Elements of the value at a batch of 1; nullopt if they are not known.
std::optional<int64_t> elements_of(const Graph& graph, ValueId id) {
  if (!id || !graph.value(id).type.shape.is_static()) return std::nullopt;
  return graph.value(id).type.shape.elements();
}

// Operators on integers have a weight as well, at their own inputs.
const WeightRole* integer_role(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  const bool integer = row != nullptr && row->quant == QuantRole::opaque_codes && row->weights;
  return integer ? &row->weights : nullptr;
}

// Recurrent layers: each step multiplies the input by W and the state by R, both [directions, ...].
std::optional<int64_t> recurrent_macs(const Graph& graph, const Node& node) {
  const auto input = elements_of(graph, node.input(1)), state = elements_of(graph, node.input(2));
  const Shape data = node.input(0) ? graph.value(node.input(0)).type.shape : Shape::unknown_rank();
  if (!input || !state || data.rank() != 3 || !data.is_static()) return std::nullopt;
  return data[0] * data[1] * (*input + *state);  // length and batch, in either layout
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

std::optional<int64_t> count_macs(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return 0;
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return recurrent_macs(graph, node);
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || !row->weights || row->weights.stored) return 0;
  const ValueId weight_id = node.input(row->weights.weight);
  if (!weight_id) return 0;
  const Shape& weight = graph.value(weight_id).type.shape;
  if (!weight.is_static() || weight.rank() < 1) return std::nullopt;
  // Every element of the result (of the data, where the weight's first axis is summed over) meets
  // one slice of the weight.
  const bool matrix = is_matrix_product(node);
  const bool transposed = !matrix && weight.rank() > 1 && weight_axes(node, weight).reduction == 0;
  const auto elements = elements_of(graph, transposed ? node.input(0) : node.output(0));
  if (!elements) return std::nullopt;
  if (!matrix) return *elements * weight.elements(1, weight.rank());
  return *elements * weight[weight.rank() < 2 ? 0 : weight_axes(node, weight).reduction];
}

}  // namespace nibble
