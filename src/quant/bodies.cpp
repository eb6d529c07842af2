#include "quant/bodies.h"

#include <algorithm>

#include "base/check.h"
#include "ops/roles.h"
#include "quant/weights.h"

namespace nibble {
namespace {

// Constants of the body that this node alone reads, so that they may change in place: a new name
// might be taken around the body.
bool are_its_own(const Graph& body, const Node& node) {
  std::vector<ValueId> constants = {bias_of(node)};
  for (const size_t input : weight_inputs(node)) constants.push_back(node.input(input));
  return std::ranges::all_of(constants, [&](ValueId id) {
    if (!id || !body.value(id).is_constant()) return true;
    return body.consumers(id).size() == 1 && !body.is_output(id) &&
           std::ranges::count(node.inputs, id) == 1;
  });
}

class BodyQuantizer {
 public:
  BodyQuantizer(const BitPlan& plan, const QuantizeOptions& options)
      : plan_(plan), options_(options), pool_(options.threads) {
    options_.rounding = "nearest";  // nobody has seen their data
  }

  void run(Graph& graph, const std::string& path) {
    for (const NodeId id : graph.nodes()) {
      bool any = false;
      for_each_body(graph.node(id), [&](const Graph&) { any = true; });
      if (any) visit(graph.node(id), path + graph.node(id).name);
    }
  }
  std::vector<BodyLayer> found() { return std::move(found_); }

 private:
  void visit(Node& node, const std::string& name) {
    for (const auto& [attribute, value] : Attributes(node.attributes)) {
      const auto* source = std::get_if<std::shared_ptr<const Graph>>(&value);
      if (source == nullptr) continue;
      Graph body = **source;
      const std::string path = body_path(name, attribute);
      quantize(body, path);
      run(body, path);
      node.attributes.set(attribute, std::make_shared<const Graph>(std::move(body)));
    }
  }

  void quantize(Graph& body, const std::string& path) {
    for (const NodeId id : body.nodes()) {
      const Node node = body.node(id);
      if (!has_weight(body, node)) continue;
      if (why_body_layer_left_in_float(body, node, path, plan_, options_)) continue;
      const std::string name = path + node.name;
      const LayerBits bits = body_layer_bits(plan_, name);
      const LayerTask task{.layer = {id, node.name, bits}};
      with_context([&] { return "quantizing node " + name; },
                   [&] { quantize_layers(body, std::span(&task, 1), options_, pool_); });
      found_.push_back({name, bits});
    }
  }

  const BitPlan& plan_;
  QuantizeOptions options_;
  ThreadPool pool_;
  std::vector<BodyLayer> found_;
};

void visit_names(const Graph& graph, const std::string& path,
                 const std::function<void(const std::string&)>& visit) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const auto& [attribute, value] : node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<const Graph>>(&value);
      if (body == nullptr) continue;
      const std::string inner = body_path(path + node.name, attribute);
      for (const NodeId in_body : (*body)->nodes()) visit(inner + (*body)->node(in_body).name);
      visit_names(**body, inner, visit);
    }
  }
}

}  // namespace

std::string body_path(const std::string& node, const std::string& attribute) {
  return node + "/" + attribute + "/";
}

LayerBits body_layer_bits(const BitPlan& plan, const std::string& name) {
  // Under 4 bits, runtimes differ in what they compute with.
  return {.weight_bits = std::clamp(plan.of(name).weight_bits, 4, 8), .activation_bits = 0};
}

std::optional<std::string> why_body_layer_left_in_float(const Graph& body, const Node& node,
                                                        const std::string& path,
                                                        const BitPlan& plan,
                                                        const QuantizeOptions& options) {
  if (std::ranges::find(options.skip, path + node.name) != options.skip.end()) {
    return "it is to be skipped";
  }
  if (plan.of(path + node.name).weight_bits == 0) return "the bit plan leaves it in float";
  const ValueId weight = weight_of(node);
  if (weight && !body.value(weight).is_constant() && !body.producer(weight) &&
      !body.is_input(weight)) {
    return "its weight belongs to the graph around the body";
  }
  if (auto reason = why_not_quantizable(body, node)) return reason;
  if (!are_its_own(body, node)) return "its weight or bias is read by other nodes too";
  return std::nullopt;
}

std::vector<BodyLayer> quantize_bodies(Graph& graph, const BitPlan& plan,
                                       const QuantizeOptions& options) {
  BodyQuantizer quantizer(plan, options);
  quantizer.run(graph, "");
  return quantizer.found();
}

void for_each_body_node(const Graph& graph, const std::function<void(const std::string&)>& visit) {
  visit_names(graph, "", visit);
}

}  // namespace nibble
