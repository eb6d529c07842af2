#include "quant/stored_weights.h"

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "passes/insert_qdq.h"

namespace nibble {

std::map<std::string, int64_t> stored_weight_bytes(const Graph& graph, const Target& target) {
  Graph exported = graph;
  insert_qdq(exported, target);
  const OpenGraphs open(exported);
  std::map<std::string, int64_t> bytes;
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      const Node& node = scope->graph->node(id);
      const OpRow* row = find_op(node.op, node.domain);
      if (row == nullptr || !row->weights) continue;
      for (const size_t input : weight_inputs(node)) {
        if (!node.input(input)) continue;
        const auto [around, weight] = scope->origin(node.inputs[input]);
        const auto made_by = around->graph->producer(weight);
        if (!made_by || around->graph->node(*made_by).op != "DequantizeLinear") continue;
        const ValueId stored = around->graph->node(*made_by).inputs[0];
        const auto [holder, codes] = around->origin(stored);
        const Value& value = holder->graph->value(codes);
        if (value.is_constant()) {
          bytes[scope->path + node.name] += static_cast<int64_t>(value.data.bytes());
        }
      }
    }
  }
  return bytes;
}

}  // namespace nibble
