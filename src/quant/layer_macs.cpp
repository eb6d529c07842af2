#include "quant/layer_macs.h"

#include "nibble/error.h"
#include "ops/macs.h"
#include "passes/every_graph.h"
#include "passes/pass.h"

namespace nibble {

Graph sized_for_one(const Graph& graph) {
  Graph sized = graph;
  std::map<std::string, Shape> shapes;
  for (const ValueId id : sized.inputs) {
    Shape shape = sized.value(id).type.shape;
    if (!shape.has_rank()) continue;
    if (shape.rank() > 0 && shape[0] < 0) shape[0] = 1;
    shapes[sized.value(id).name] = shape;
  }
  try {
    infer_types(sized, shapes);
  } catch (const Error&) {
    // A first dimension that is no batch and cannot be 1: what depends on it stays unknown.
    sized = graph;
    infer_types(sized);
  }
  return sized;
}

std::map<std::string, std::optional<int64_t>> macs_by_node(const Graph& graph) {
  Graph sized = sized_for_one(graph);
  const OpenGraphs open(sized);
  std::map<std::string, std::optional<int64_t>> macs;
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      const Node& node = scope->graph->node(id);
      const auto count = count_macs(*scope->graph, node);
      if (count != 0) macs[scope->path + node.name] = count;
    }
  }
  return macs;
}

}  // namespace nibble
