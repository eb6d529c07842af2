// An activation that is the only reader of a layer's result becomes part of the layer.
//
// Before: %y = Conv(%x, %w)   %z = Relu(%y)
// After:  %z = Conv(%x, %w) {nibble_activation="Relu", nibble_activation_min=0,
//                            nibble_activation_max=inf}
#include <algorithm>
#include <limits>
#include <optional>

#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Clamp {
  const char* name;
  float low;
  float high;
};

// A limit of Clip: a scalar constant, or `fallback` where it is left out.
std::optional<float> limit(const Graph& graph, ValueId id, float fallback) {
  if (!id) return fallback;
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.type.quant || value.data.dtype() != DType::f32 ||
      value.data.elements() != 1) {
    return std::nullopt;
  }
  return value.data.data<float>()[0];
}

std::optional<Clamp> clamp_of(const Graph& graph, const Node& node) {
  if (!node.domain.empty() || !node.output(0)) return std::nullopt;
  if (node.op == "Relu") return Clamp{"Relu", 0.0F, kInfinity};
  if (node.op != "Clip") return std::nullopt;
  if (graph.opset() < 11) {
    return Clamp{"Clip", node.attributes.real("min", -kInfinity),
                 node.attributes.real("max", kInfinity)};
  }
  const auto low = limit(graph, node.input(1), -kInfinity);
  const auto high = limit(graph, node.input(2), kInfinity);
  if (!low || !high) return std::nullopt;
  return Clamp{"Clip", *low, *high};
}

bool takes_activation(const Graph& graph, const Node& node) {
  return node.domain.empty() && (node.op == "Conv" || node.op == "Gemm" || node.op == "Add") &&
         node.output(0) && !node.attributes.has("nibble_activation") &&
         graph.value(node.outputs[0]).type.dtype == DType::f32 &&
         !graph.value(node.outputs[0]).type.quant;
}

}  // namespace

int fuse_activations(Graph& graph) {
  infer_types(graph);
  GraphEditor editor(graph);
  int fused = 0;
  for (NodeId id : graph.nodes()) {
    Node& layer = graph.node(id);
    if (!takes_activation(graph, layer)) continue;
    const auto next = editor.only_consumer(layer.outputs[0]);
    if (!next) continue;
    const auto clamp = clamp_of(graph, graph.node(*next));
    if (!clamp || graph.node(*next).input(0) != layer.outputs[0]) continue;
    layer.attributes.set("nibble_activation", std::string(clamp->name));
    layer.attributes.set("nibble_activation_min", clamp->low);
    layer.attributes.set("nibble_activation_max", clamp->high);
    editor.remove(*next);
    editor.set_output(id, 0, graph.node(*next).outputs[0]);
    ++fused;
  }
  editor.finish();
  if (fused > 0) graph.prune();
  return fused;
}

}  // namespace nibble
