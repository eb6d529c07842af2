// An activation that is the only reader of a layer's result becomes part of the layer.
//
// Before: %y = Conv(%x, %w)   %z = Relu(%y)
// After:  %z = Conv(%x, %w) clamp=[0,inf]
#include <optional>

#include "ops/roles.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

bool can_clamp(const Graph& graph, const Node& node) {
  return takes_clamp(node) && node.output(0) && !node.clamp.any() &&
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
    if (!can_clamp(graph, layer)) continue;
    const auto next = editor.only_consumer(layer.outputs[0]);
    if (!next) continue;
    const auto clamp = clamp_of(graph, graph.node(*next));
    if (!clamp || graph.node(*next).input(0) != layer.outputs[0]) continue;
    layer.clamp = *clamp;
    editor.remove(*next);
    editor.set_output(id, 0, graph.node(*next).outputs[0]);
    ++fused;
  }
  editor.finish();
  if (fused > 0) graph.prune();
  return fused;
}

}  // namespace nibble
