#include "ops/roles.h"

#include "base/check.h"

namespace nibble {

bool is_weighted(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->quant == QuantRole::weighted;
}

bool stores_weight(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->weights.stored;
}

bool has_weight(const Node& node, const Value& weight) {
  if (is_weighted(node)) return true;
  if (!stores_weight(node)) return false;
  // Not a table of sizes or indices.
  return weight.is_constant() && is_float(weight.type.dtype) && weight.type.shape.rank() > 1;
}

bool has_weight(const Graph& graph, const Node& node) {
  if (is_weighted(node)) return true;
  return stores_weight(node) && weight_of(node) && has_weight(node, graph.value(weight_of(node)));
}

bool multiplies_activations(const Graph& graph, const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || !row->weights.of_activations) return false;
  const auto is_activation = [&](ValueId id) {
    return id && !graph.value(id).is_constant() && graph.value(id).type.dtype == DType::f32;
  };
  return is_activation(data_of(node)) && is_activation(weight_of(node)) && node.output(0);
}

std::vector<size_t> weight_inputs(const Node& node) {
  const WeightRole& role = weight_role(node);
  std::vector<size_t> inputs = {role.weight};
  if (role.second != WeightRole::kNone) inputs.push_back(role.second);
  return inputs;
}

const WeightRole& weight_role(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  check(row != nullptr && row->weights, "this operator has no weight");
  return row->weights;
}

WeightAxes weight_axes(const Node& node, const Shape& weight) {
  return weight_role(node).axes(node, weight);
}

bool is_matrix_product(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->weights && row->weights.matrix;
}

WeightIndex::WeightIndex(const Node& node, const Shape& weight) : axes_(weight_axes(node, weight)) {
  // The two channel axes are neighbours; those before them (a batch of matrices) only repeat.
  const int first = std::min(axes_.output, axes_.reduction);
  rows_ = weight[first];
  columns_ = weight[first + 1];
  inner_ = weight.elements(first + 2, weight.rank());
  const bool output_first = axes_.output < axes_.reduction;
  outputs_ = output_first ? rows_ : columns_ * axes_.groups;
  inputs_ = output_first ? columns_ * axes_.groups : rows_;
}

std::optional<Clamp> clamp_of(const Graph& graph, const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || row->clamp == nullptr || !node.output(0)) return std::nullopt;
  return row->clamp(graph, node);
}

bool takes_clamp(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->takes_clamp;
}

bool is_view(const Node& node, const Shape& in) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->view != nullptr && !node.output(1) && row->view(node, in);
}

}  // namespace nibble
