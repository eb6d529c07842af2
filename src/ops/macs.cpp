#include "ops/macs.h"

#include "ops/roles.h"

namespace nibble {
namespace {

// Elements of the value; nullopt if they are not known.
std::optional<int64_t> elements_of(const Graph& graph, ValueId id) {
  if (!id || !graph.value(id).type.shape.is_static()) return std::nullopt;
  return graph.value(id).type.shape.elements();
}

// Recurrent layers: each step multiplies the input by W and the state by R, both [directions, ...].
std::optional<int64_t> recurrent_macs(const Graph& graph, const Node& node) {
  const auto input = elements_of(graph, node.input(1)), state = elements_of(graph, node.input(2));
  const Shape data = node.input(0) ? graph.value(node.input(0)).type.shape : Shape::unknown_rank();
  if (!input || !state || data.rank() != 3 || !data.is_static()) return std::nullopt;
  return data[0] * data[1] * (*input + *state);  // length and batch, in either layout
}

// Of each score its key, of each result the values it weighs.
int64_t attention_macs(const Node& node) {
  const std::vector<int64_t> extents = node.attributes.integers("extents");
  if (extents.size() != 6) return 0;
  return extents[0] * extents[1] * extents[2] * extents[3] * (extents[4] + extents[5]);
}

}  // namespace

bool is_head_attention(const Node& node) {
  return node.domain == "nibble" && node.op == "HeadAttention";
}

bool is_recurrent(const Node& node) {
  return node.domain.empty() && (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN");
}

std::optional<int64_t> count_macs(const Graph& graph, const Node& node) {
  if (is_recurrent(node)) return recurrent_macs(graph, node);
  if (is_head_attention(node)) return attention_macs(node);
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
