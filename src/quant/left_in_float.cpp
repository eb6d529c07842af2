#include "quant/left_in_float.h"

#include <memory>

#include "base/check.h"
#include "ops/require_ops.h"
#include "ops/roles.h"

namespace nibble {
namespace {

void collect(const Graph& graph, const std::string& path, const std::string& reason,
             ParameterCounter& counter, std::vector<BodyNode>& found);

void collect_bodies(const Node& node, const std::string& name, ParameterCounter& counter,
                    std::vector<BodyNode>& found) {
  for (const auto& [attribute, value] : node.attributes) {
    const auto* body = std::get_if<std::shared_ptr<const Graph>>(&value);
    if (body == nullptr) continue;
    ParameterCounter inner(**body, &counter);
    const std::string reason = fmt::format(
        "is in the body of the {} '{}': what is in bodies is not quantized", node.op, name);
    collect(**body, name + "/" + attribute, reason, inner, found);
  }
}

void collect(const Graph& graph, const std::string& path, const std::string& reason,
             ParameterCounter& counter, std::vector<BodyNode>& found) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const std::string name = path + "/" + node.name;
    const ParameterCount parameters = counter.count(node);
    if (parameters.all > 0) {
      found.push_back({name, full_op_name(node.op, node.domain), parameters, reason});
    }
    collect_bodies(node, name, counter, found);
  }
}

}  // namespace

std::vector<BodyNode> body_nodes_with_weights(const Graph& graph, ParameterCounter& counter) {
  std::vector<BodyNode> found;
  for (const NodeId id : graph.nodes()) {
    collect_bodies(graph.node(id), graph.node(id).name, counter, found);
  }
  return found;
}

std::vector<QuantizeReport::Skipped> layers_left_in_float(const Graph& graph,
                                                          const QuantizationPlan& plan,
                                                          const BitPlan& bits,
                                                          const QuantizeOptions& options) {
  std::vector<QuantizeReport::Skipped> left;
  ParameterCounter counter(graph);
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const int64_t parameters = counter.count(node).all;
    const NodeFate fate = fate_of(graph, plan, bits, options, id);
    if (!fate.quantized && (is_weighted(node) || parameters > 0)) {
      left.push_back({node.name, fate.reason, full_op_name(node.op, node.domain), parameters});
    }
  }
  for (const BodyNode& node : body_nodes_with_weights(graph, counter)) {
    left.push_back({node.name, node.reason, node.op, node.parameters.all});
  }
  return left;
}

}  // namespace nibble
