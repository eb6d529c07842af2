// What each node costs, and whether it can be quantized.
#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "nibble/error.h"
#include "nibble/quantize.h"
#include "ops/roles.h"
#include "passes/pass.h"
#include "quant/layers.h"

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

int64_t count_constant(const Graph& graph, ValueId id) {
  return id && graph.value(id).is_constant() ? graph.value(id).data.elements() : 0;
}

// The numbers a node learns: float constants, without scalars such as a Clip's limits; of an
// operator on integers, weight and bias.
int64_t count_parameters(const Graph& graph, const Node& node) {
  if (const WeightRole* role = integer_role(node)) {
    return count_constant(graph, node.input(static_cast<size_t>(role->weight))) +
           (role->bias < 0 ? 0
                           : count_constant(graph, node.input(static_cast<size_t>(role->bias))));
  }
  int64_t count = 0;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (!node.inputs[i] || std::ranges::find(node.inputs, node.inputs[i]) - node.inputs.begin() !=
                               static_cast<std::ptrdiff_t>(i)) {
      continue;
    }
    const Value& value = graph.value(node.inputs[i]);
    const bool real = value.is_constant() && is_float(value.type.dtype);
    const bool limit = value.type.shape.rank() == 0;
    if (real && !limit) count += value.type.shape.elements();
  }
  return count;
}

// Recurrent layers: each step multiplies the input by W and the state by R, both [directions, ...].
std::optional<int64_t> recurrent_macs(const Graph& graph, const Node& node) {
  const auto input = elements_of(graph, node.input(1)), state = elements_of(graph, node.input(2));
  const Shape data = node.input(0) ? graph.value(node.input(0)).type.shape : Shape::unknown_rank();
  if (!input || !state || data.rank() != 3 || !data.is_static()) return std::nullopt;
  return data[0] * data[1] * (*input + *state);  // length and batch, in either layout
}

// Multiplications and additions at a batch of 1; nullopt if they depend on a size that nobody
// knows.
std::optional<int64_t> count_macs(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return 0;
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return recurrent_macs(graph, node);
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || !row->weights) return 0;
  const ValueId weight_id = node.input(static_cast<size_t>(row->weights.weight));
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

std::string_view kind_of(QuantRole role) {
  switch (role) {
    case QuantRole::arithmetic:
      return "integer arithmetic between quantized layers";
    case QuantRole::table:
      return "a table of 8-bit codes between quantized layers";
    case QuantRole::same_codes:
      return "moves codes between quantized layers";
    case QuantRole::opaque_codes:
      return "is integer arithmetic already";
    case QuantRole::weighted:
      return "integer layer";
    case QuantRole::none:
      break;
  }
  return "has no integer form and stays in float";
}

// Why quantize() makes an integer of it, or why not.
void judge(const Graph& graph, const Node& node, NodeSupport& support) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr) {
    support.reason = "Nibble does not have this operator";
    return;
  }
  support.reason = kind_of(row->quant);
  support.quantizable = row->quant != QuantRole::none && row->quant != QuantRole::opaque_codes;
  if (row->quant == QuantRole::weighted) {
    if (const auto reason = why_not_quantizable(graph, node)) {
      support.quantizable = false;
      support.reason = *reason;
    }
  } else if (support.quantizable &&
             (!node.input(0) || graph.value(node.inputs[0]).type.dtype != DType::f32)) {
    support.quantizable = false;
    support.reason = "works on integers, not on reals";
  }
}

NodeSupport describe_node(const Graph& graph, const Node& node, bool is_folded) {
  const std::optional<int64_t> macs = count_macs(graph, node);
  NodeSupport support{.node = node.name,
                      .op = node.domain.empty() ? node.op : node.domain + "::" + node.op,
                      .parameters = count_parameters(graph, node),
                      .macs = macs.value_or(0)};
  judge(graph, node, support);
  if (is_folded) {
    support.quantizable = true;
    support.reason = "is folded into the layer before it";
  }
  if (!macs) {
    support.reason += "; its MACs are unknown: they depend on a size that the model leaves open";
  }
  return support;
}

// Names of the BatchNormalization nodes that quantize() folds into layers.
std::set<std::string> folded_batch_norms(const Graph& graph) {
  std::set<std::string> names;
  const auto is_batch_norm = [](const Node& node) {
    return node.op == "BatchNormalization" && node.domain.empty();
  };
  for (const NodeId id : graph.nodes()) {
    if (is_batch_norm(graph.node(id))) names.insert(graph.node(id).name);
  }
  if (names.empty()) return names;
  try {
    const Graph prepared = prepare_for_quantization(graph);
    for (const NodeId id : prepared.nodes()) names.erase(prepared.node(id).name);
  } catch (const Error&) {
    return {};
  }
  return names;
}

}  // namespace

std::vector<NodeSupport> inspect_nodes(const Graph& graph) {
  Graph sized = graph;
  std::map<std::string, Shape> shapes;
  for (const ValueId id : sized.inputs) {
    Shape shape = sized.value(id).type.shape;
    if (!shape.has_rank()) continue;
    if (shape.rank() > 0 && shape[0] < 0) shape[0] = 1;  // other sizes are not guessed
    shapes[sized.value(id).name] = shape;
  }
  try {
    infer_types(sized, shapes);
  } catch (const Error&) {
    // A first dimension that is no batch and cannot be 1: what depends on it stays unknown.
    sized = graph;
    infer_types(sized);
  }
  const std::set<std::string> folded = folded_batch_norms(graph);
  std::vector<NodeSupport> nodes;
  for (const NodeId id : graph.nodes()) {
    const Node& node = sized.node(id);
    nodes.push_back(describe_node(sized, node, folded.contains(node.name)));
  }
  return nodes;
}

}  // namespace nibble
