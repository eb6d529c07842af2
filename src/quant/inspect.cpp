// What each node costs, and whether it can be quantized.
#include <algorithm>

#include "nibble/error.h"
#include "nibble/quantize.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "quant/layers.h"
#include "ranges/weight_axes.h"

namespace nibble {
namespace {

// Elements of the value at a batch of 1; 0 if they are not known.
int64_t elements_of(const Graph& graph, ValueId id) {
  if (!id || !graph.value(id).type.shape.is_static()) return 0;
  return graph.value(id).type.shape.elements();
}

// The numbers a node learns: float constants, without scalars such as a Clip's limits.
int64_t count_parameters(const Graph& graph, const Node& node) {
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
int64_t recurrent_macs(const Graph& graph, const Node& node) {
  const Shape& data = graph.value(node.inputs[0]).type.shape;
  if (data.rank() != 3 || !data.is_static()) return 0;
  const int64_t steps = data[0] * data[1];  // length and batch, in either layout
  return steps * (elements_of(graph, node.input(1)) + elements_of(graph, node.input(2)));
}

// Multiplications and additions at a batch of 1.
int64_t count_macs(const Graph& graph, const Node& node) {
  if (!node.domain.empty()) return 0;
  if (node.op == "LSTM" || node.op == "GRU" || node.op == "RNN") return recurrent_macs(graph, node);
  if (!is_weighted(node) && node.op != "ConvInteger" && node.op != "MatMulInteger") return 0;
  const Shape& weight = graph.value(node.inputs[1]).type.shape;
  if (!weight.is_static() || weight.rank() < 1) return 0;
  // Every element of the result (of the data, for ConvTranspose) meets one slice of the weight.
  const int64_t results = elements_of(graph, node.outputs[0]);
  if (node.op == "ConvTranspose") {
    return elements_of(graph, node.inputs[0]) * weight.elements(1, weight.rank());
  }
  if (node.op == "Gemm" || node.op.starts_with("MatMul")) {
    return weight.rank() < 2 ? results * weight[0] : results * weight[reduction_axis(node, weight)];
  }
  return weight.rank() < 2 ? 0 : results * weight.elements(1, weight.rank());
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

NodeSupport describe_node(const Graph& graph, const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  NodeSupport support{.node = node.name,
                      .op = node.domain.empty() ? node.op : node.domain + "::" + node.op,
                      .parameters = count_parameters(graph, node),
                      .macs = count_macs(graph, node)};
  if (row == nullptr) {
    support.reason = "Nibble does not have this operator";
    return support;
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
  return support;
}

}  // namespace

std::vector<NodeSupport> inspect_nodes(const Graph& graph) {
  Graph sized = graph;
  std::map<std::string, Shape> shapes;
  for (const ValueId id : sized.inputs) {
    Shape shape = sized.value(id).type.shape;
    if (!shape.has_rank()) continue;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 0) shape[axis] = 1;
    }
    shapes[sized.value(id).name] = shape;
  }
  try {
    infer_types(sized, shapes);
  } catch (const Error&) {
    // A dimension that cannot be 1 (a length of audio, say): what depends on it stays unknown.
    sized = graph;
    infer_types(sized);
  }
  std::vector<NodeSupport> nodes;
  for (const NodeId id : graph.nodes()) nodes.push_back(describe_node(sized, sized.node(id)));
  return nodes;
}

}  // namespace nibble
