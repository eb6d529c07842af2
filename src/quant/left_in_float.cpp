#include "quant/left_in_float.h"

#include <memory>

#include "base/check.h"
#include "ops/require_ops.h"
#include "ops/roles.h"
#include "quant/bodies.h"

namespace nibble {
namespace {

// Walks the bodies of nodes.
class Walk {
 public:
  Walk(const BitPlan& bits, const QuantizeOptions& options) : bits_(bits), options_(options) {}

  void visit(const Node& node, const std::string& name, ParameterCounter& counter) {
    for (const auto& [attribute, value] : node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<const Graph>>(&value);
      if (body == nullptr) continue;
      ParameterCounter inner(**body, &counter);
      const std::string where = fmt::format("is in the body of the {} '{}'", node.op, name);
      collect(**body, body_path(name, attribute), where, inner);
    }
  }
  std::vector<BodyNode> found;

 private:
  void collect(const Graph& graph, const std::string& path, const std::string& where,
               ParameterCounter& counter) {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      const ParameterCount parameters = counter.count(node);
      if (parameters.all > 0) {
        BodyNode entry{path + node.name, full_op_name(node.op, node.domain), parameters, ""};
        judge(graph, node, path, where, entry);
        found.push_back(std::move(entry));
      }
      visit(node, path + node.name, counter);
    }
  }

  void judge(const Graph& graph, const Node& node, const std::string& path,
             const std::string& where, BodyNode& entry) const {
    if (!has_weight(graph, node)) {
      entry.reason = where + ", where weights of layers alone are quantized";
      return;
    }
    const auto why = why_body_layer_left_in_float(graph, node, path, bits_, options_);
    entry.quantized = !why;
    entry.reason = why ? where + ": " + *why : where + ": its weights alone are quantized";
  }

  const BitPlan& bits_;
  const QuantizeOptions& options_;
};

}  // namespace

std::vector<BodyNode> body_nodes_with_weights(const Graph& graph, ParameterCounter& counter,
                                              const BitPlan& bits, const QuantizeOptions& options) {
  Walk walk(bits, options);
  for (const NodeId id : graph.nodes()) {
    walk.visit(graph.node(id), graph.node(id).name, counter);
  }
  return std::move(walk.found);
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
    if (!fate.quantized && (has_weight(graph, node) || parameters > 0)) {
      left.push_back({node.name, fate.reason, full_op_name(node.op, node.domain), parameters});
    }
  }
  for (const BodyNode& node : body_nodes_with_weights(graph, counter, bits, options)) {
    if (!node.quantized) left.push_back({node.name, node.reason, node.op, node.parameters.all});
  }
  return left;
}

}  // namespace nibble
