// Removes nodes that give their input back.
//
// Before: %b = Identity(%a)   %c = Cast(%b:f32) {to=f32}   %d = Reshape(%c:f32[2,3], [2,3])
// After:  readers of %d read %a
//
// A node whose output has another quantized type than its input stays: it requantizes. So does one
// between a graph input and a graph output, whose names both matter.
#include <algorithm>
#include <array>

#include "nibble/graph.h"
#include "passes/evaluate.h"
#include "passes/every_graph.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

std::vector<int64_t> constant_integers(const Graph& graph, ValueId id) {
  if (!id || !graph.value(id).is_constant()) return {};
  const Tensor& data = graph.value(id).data;
  if (!is_integer(data.dtype()) || bits_of(data.dtype()) < 8) return {};
  const Tensor wide = convert(data, DType::i64);
  return {wide.data<int64_t>().begin(), wide.data<int64_t>().end()};
}

bool all_are(const std::vector<int64_t>& values, int64_t wanted) {
  return std::ranges::all_of(values, [&](int64_t value) { return value == wanted; });
}

// Dropout trains only if its third input says so.
bool is_inference_dropout(const Graph& graph, const Node& node) {
  if (const ValueId training = node.input(2)) {
    const Value& value = graph.value(training);
    if (!value.is_constant() || value.data.dtype() != DType::boolean ||
        value.data.elements() != 1 || value.data.data<bool>()[0]) {
      return false;
    }
  }
  return true;
}

bool is_identity_transpose(const Graph& graph, const Node& node) {
  const std::vector<int64_t> perm = node.attributes.integers("perm");
  for (size_t i = 0; i < perm.size(); ++i) {
    if (perm[i] != static_cast<int64_t>(i)) return false;
  }
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  return !perm.empty() || (shape.has_rank() && shape.rank() < 2);  // the default perm reverses
}

bool pads_nothing(const Graph& graph, const Node& node) {
  if (graph.opset() < 11) return all_are(node.attributes.integers("pads", {1}), 0);
  const std::vector<int64_t> pads = constant_integers(graph, node.input(1));
  return !pads.empty() && all_are(pads, 0);
}

bool slices_everything(const Graph& graph, const Node& node) {
  if (graph.opset() < 10 || !node.input(4)) return true;  // step 1 (and the shape is the same)
  const std::vector<int64_t> steps = constant_integers(graph, node.input(4));
  return !steps.empty() && all_are(steps, 1);
}

// Operators that only give a new shape; the same if it is the old one.
constexpr std::array<std::string_view, 6> kReshapers = {"Reshape",   "Flatten", "Squeeze",
                                                        "Unsqueeze", "Expand",  "Tile"};

bool gives_input_back(const Graph& graph, const Node& node) {
  if (!node.domain.empty() || node.inputs.empty() || !node.inputs[0] || !node.output(0)) {
    return false;
  }
  const TensorType& in = graph.value(node.inputs[0]).type;
  const TensorType& out = graph.value(node.outputs[0]).type;
  const bool same_shape = in.shape.is_static() && in.shape == out.shape;
  const auto among = [&](std::span<const std::string_view> ops) {
    return std::ranges::find(ops, node.op) != ops.end();
  };
  constexpr std::array<std::string_view, 5> kOfOne = {"Concat", "Sum", "Max", "Min", "Mean"};
  if (node.op == "Identity") return true;
  if (node.op == "Dropout") return is_inference_dropout(graph, node);
  if (node.op == "Cast") return in.dtype != DType::undefined && in.dtype == out.dtype;
  if (node.op == "Transpose") return is_identity_transpose(graph, node);
  if (among(kOfOne)) return node.inputs.size() == 1;
  if (among(kReshapers)) return same_shape;
  if (node.op == "Slice") return same_shape && slices_everything(graph, node);
  if (node.op == "Pad") return same_shape && pads_nothing(graph, node);
  return false;
}

}  // namespace

namespace {

int eliminate_in(Graph& graph) {
  infer_types(graph);
  GraphEditor editor(graph);
  int removed = 0;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!gives_input_back(graph, node)) continue;
    const ValueId from = node.outputs[0];
    const ValueId to = node.inputs[0];
    const bool other_output_used =
        std::any_of(node.outputs.begin() + 1, node.outputs.end(), [&](ValueId value) {
          return value && (editor.is_output(value) || !editor.consumers(value).empty());
        });
    if (other_output_used || graph.value(from).type.quant != graph.value(to).type.quant ||
        !editor.can_replace(from, to)) {
      continue;
    }
    editor.remove(id);
    editor.replace(from, to);
    ++removed;
  }
  editor.finish();
  if (removed > 0) graph.prune();
  return removed;
}

}  // namespace

int eliminate_identities(Graph& graph) {
  return edit_every_graph(graph, [](Graph& one, const std::string&) { return eliminate_in(one); });
}

}  // namespace nibble
