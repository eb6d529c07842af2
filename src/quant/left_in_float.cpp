#include "quant/left_in_float.h"

#include "ops/require_ops.h"
#include "ops/roles.h"

namespace nibble {

std::vector<QuantizeReport::Skipped> layers_left_in_float(
    const OpenGraphs& open, const std::vector<QuantizationPlan>& plans, const BitPlan& bits,
    const QuantizeOptions& options) {
  std::vector<QuantizeReport::Skipped> left;
  ParameterCounters counters;
  for (size_t i = 0; i < plans.size(); ++i) {
    const OpenGraph& scope = *open.all()[i];
    const Graph& graph = *scope.graph;
    ParameterCounter& counter =
        counters.add(graph, scope.outer == nullptr ? nullptr : scope.outer->graph);
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      const int64_t parameters = counter.count(node).all;
      const NodeFate fate = fate_of(graph, plans[i], bits, options, id);
      if (!fate.quantized && (has_weight(graph, node) || parameters > 0)) {
        left.push_back(
            {scope.path + node.name, fate.reason, full_op_name(node.op, node.domain), parameters});
      }
    }
  }
  return left;
}

}  // namespace nibble
