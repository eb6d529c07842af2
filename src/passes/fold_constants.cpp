// Evaluates what depends on constants only.
//
// Before: %s = Shape(%x:f32[1,8,4,4])     %y = Reshape(%x, %t)
//         %n = Gather(%s, 0)
//         %t = Concat(%n, [-1])
// After:  %y = Reshape(%x, [1,-1])
//
// Of a quantized constant, Transpose is folded: its codes are moved. Otherwise it is left alone,
// and so is DequantizeLinear: they are what keeps a weight in few bits. Results that would make the
// model much larger (an Expand, say) are left to run time. Bodies get the constants that they
// capture for their own, so that what depends on them is folded there.
#include <algorithm>

#include "base/check.h"
#include "passes/evaluate.h"
#include "passes/every_graph.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr size_t kMaxGrowth = size_t{1} << 20U;  // bytes that one folded node may add

// The inputs of a node that can be folded; nullopt if it cannot.
std::optional<std::vector<Tensor>> constant_inputs(const Graph& graph, const Node& node) {
  const bool reads_shape = node.op == "Shape" || node.op == "Size";
  std::vector<Tensor> inputs;
  for (ValueId id : node.inputs) {
    if (!id) {
      inputs.emplace_back();
      continue;
    }
    const Value& value = graph.value(id);
    if (reads_shape && value.type.dtype != DType::undefined && value.type.shape.is_static()) {
      inputs.push_back(Tensor::borrow(value.type.dtype, value.type.shape, nullptr));
    } else if (value.is_constant() && !value.type.quant) {
      inputs.push_back(value.data);
    } else {
      return std::nullopt;
    }
  }
  return inputs;
}

bool grows_too_much(const Graph& graph, const Node& node, const std::vector<Tensor>& inputs) {
  size_t before = 0;
  for (const Tensor& input : inputs) before += input.empty() ? 0 : input.bytes();
  size_t after = 0;
  for (ValueId id : node.outputs) {
    if (!id) continue;
    const TensorType& type = graph.value(id).type;
    if (!type.shape.is_static() || type.dtype == DType::undefined) {
      return before > kMaxGrowth / 64;  // nobody knows: fold what is small
    }
    size_t bytes = static_cast<size_t>(bits_of(type.dtype)) / 8;
    for (int64_t dim : type.shape) {
      if (__builtin_mul_overflow(bytes, static_cast<size_t>(dim), &bytes)) return true;
    }
    after += bytes;
  }
  return after > before + kMaxGrowth;
}

bool fold(Graph& graph, GraphEditor& editor, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == "DequantizeLinear" || !is_pure(node)) return false;
  const auto is_typed = [&](ValueId value) { return value && graph.value(value).type.quant; };
  if (std::ranges::any_of(node.outputs, is_typed)) return false;
  const auto inputs = constant_inputs(graph, node);
  if (!inputs || grows_too_much(graph, node, *inputs)) return false;
  const auto results = with_context([&] { return describe(node); },
                                    [&] { return evaluate_node(node, graph.opset(), *inputs); });
  if (!results) return false;
  for (size_t i = 0; i < results->size(); ++i) {
    if (node.outputs[i] && (*results)[i].empty()) return false;
  }
  for (size_t i = 0; i < results->size(); ++i) {
    if (!node.outputs[i]) continue;
    Value& value = graph.value(node.outputs[i]);
    const Tensor& result = (*results)[i];
    value.data = result.clone();
    value.type = {.dtype = result.dtype(), .shape = result.shape(), .quant = {}};
    value.dim_names.clear();
  }
  editor.remove(id);
  return true;
}

// Transpose of a quantized constant moves its codes, and the axis of its scales.
bool fold_transpose_of_codes(Graph& graph, GraphEditor& editor, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != "Transpose" || !node.domain.empty() || !node.input(0) || !node.output(0)) {
    return false;
  }
  const Value& source = graph.value(node.inputs[0]);
  Value& result = graph.value(node.outputs[0]);
  if (!source.is_constant() || !source.type.quant || result.type.quant) return false;
  if (source.type.quant->granularity == Granularity::per_block) return false;
  const Tensor codes = Tensor::of<int32_t>(source.data.shape(), unpack_integers(source.data));
  const auto moved = evaluate_node(node, graph.opset(), std::span(&codes, 1));
  if (!moved || (*moved)[0].empty()) return false;
  QuantParams quant = *source.type.quant;
  if (quant.granularity == Granularity::per_channel) {
    std::vector<int64_t> permutation = node.attributes.integers("perm");
    const int rank = codes.shape().rank();
    int axis = rank - 1 - quant.axis;  // the default reverses
    for (size_t i = 0; i < permutation.size(); ++i) {
      if (permutation[i] == quant.axis) axis = static_cast<int>(i);
    }
    quant.axis = axis;
  }
  result.data = pack_integers(quant.storage, (*moved)[0].shape(), (*moved)[0].data<int32_t>());
  result.type = {.dtype = DType::f32, .shape = result.data.shape(), .quant = std::move(quant)};
  result.dim_names.clear();
  editor.remove(id);
  return true;
}

}  // namespace

namespace {

int fold_in(Graph& graph) {
  infer_types(graph);
  GraphEditor editor(graph);
  int folded = 0;
  for (NodeId id : graph.nodes()) {
    folded += fold(graph, editor, id) || fold_transpose_of_codes(graph, editor, id) ? 1 : 0;
  }
  editor.finish();
  hand_constants_to_bodies(graph);
  if (folded > 0) graph.prune();
  return folded;
}

}  // namespace

int fold_constants(Graph& graph) {
  return edit_every_graph(graph, [](Graph& one, const std::string&) { return fold_in(one); });
}

}  // namespace nibble
