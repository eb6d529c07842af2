#include "quant/layers.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "ops/roles.h"
#include "quant/bodies.h"

namespace nibble {
namespace {

// A bias the integer layer can add: one constant per output channel.
std::optional<std::string> why_not_bias(const Graph& graph, const Node& node, int64_t channels) {
  if (!bias_of(node)) return std::nullopt;
  const Value& bias = graph.value(bias_of(node));
  if (!bias.is_constant()) return "its bias is computed while running";
  const Shape& shape = bias.data.shape();
  const bool row = shape.rank() >= 1 && shape[shape.rank() - 1] == channels;
  if (bias.data.elements() == 1 || (row && shape.elements() == channels)) return std::nullopt;
  return fmt::format("its bias {} is not one number per output channel", shape.to_string());
}

std::optional<std::string> why_not_gemm(const Node& node) {
  const Attributes& attributes = node.attributes;
  if (attributes.integer("transA", 0) != 0) return "it transposes its data (transA)";
  if (attributes.real("alpha", 1) != 1 || (bias_of(node) && attributes.real("beta", 1) != 1)) {
    return "it scales its result (alpha, beta)";
  }
  return std::nullopt;
}

void check_bits(const std::string& node, LayerBits bits) {
  const auto known = [](int n) { return (n >= 2 && n <= 8) || n == 16; };
  if (bits.weight_bits != 0 && !known(bits.weight_bits)) {
    fail(ErrorCode::invalid_argument, "{}: weights can have 2 to 8 or 16 bits, not {}", node,
         bits.weight_bits);
  }
  if (bits.activation_bits != 0 && !known(bits.activation_bits)) {
    fail(ErrorCode::invalid_argument, "{}: activations can have 2 to 8 or 16 bits, not {}", node,
         bits.activation_bits);
  }
}

void check_names(const Graph& graph, const BitPlan& plan, const QuantizeOptions& options) {
  std::set<std::string> names;
  for (const NodeId id : graph.nodes()) names.insert(graph.node(id).name);
  for_each_body_node(graph, [&](const std::string& name) { names.insert(name); });
  for (const auto& [name, bits] : plan.layers) {
    if (!names.contains(name)) {
      fail(ErrorCode::invalid_argument, "the bit plan names '{}', which is not a node of the model",
           name);
    }
    check_bits("node '" + name + "'", bits);
  }
  check_bits("the bit plan", plan.fallback);
  for (const std::string& name : options.skip) {
    if (!names.contains(name)) {
      fail(ErrorCode::invalid_argument, "'{}' is to be skipped, but is not a node of the model",
           name);
    }
  }
}

}  // namespace

const LayerBits& BitPlan::of(const std::string& node) const {
  const auto it = layers.find(node);
  return it == layers.end() ? fallback : it->second;
}

std::optional<std::string> why_not_quantizable(const Graph& graph, const Node& node) {
  if (!weight_of(node)) return "it has no weight";
  if (!data_of(node) || !node.output(0)) return "it has no data or no result";
  const Value& weight = graph.value(weight_of(node));
  if (!weight.is_constant()) return "its weight is computed while running";
  const DType dtype = weight.type.quant ? DType::f32 : weight.data.dtype();
  if (dtype != DType::f32) return fmt::format("its weight is {}, not f32", name_of(dtype));
  const Shape& shape = weight.data.shape();
  const bool matrix = is_matrix_product(node);
  if (shape.rank() < (matrix ? 2 : 3)) {
    return fmt::format("its weight has {} dimensions", shape.rank());
  }
  if (shape.elements() == 0) return "its weight is empty";
  if (graph.value(data_of(node)).is_constant()) return "its data are constant";
  if (const size_t second = weight_role(node).second; second != WeightRole::kNone) {
    const Value& more = graph.value(node.input(second));
    if (!more.is_constant()) return "its second weight is computed while running";
    if (more.data.elements() == 0) return "its weight is empty";
  }
  if (node.op == "Gemm") {
    if (auto reason = why_not_gemm(node)) return reason;
  }
  return why_not_bias(graph, node, WeightIndex(node, shape).outputs());
}

std::vector<bool> at_the_ends(const Graph& graph, const std::vector<NodeId>& layers) {
  const std::set<NodeId> weighted(layers.begin(), layers.end());
  const std::vector<NodeId> nodes = graph.nodes();
  // Values with a layer before them, and values with a layer behind them.
  std::set<ValueId> after, before;
  std::set<NodeId> not_first, not_last;
  const auto add = [](std::set<ValueId>& values, const std::vector<ValueId>& more) {
    for (const ValueId value : more) {
      if (value) values.insert(value);  // what is left out links no nodes
    }
  };
  for (const NodeId id : nodes) {
    const Node& node = graph.node(id);
    const bool later =
        std::ranges::any_of(node.inputs, [&](ValueId v) { return after.contains(v); });
    if (later) not_first.insert(id);
    if (later || weighted.contains(id)) add(after, node.outputs);
  }
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    const Node& node = graph.node(*it);
    const bool earlier =
        std::ranges::any_of(node.outputs, [&](ValueId v) { return before.contains(v); });
    if (earlier) not_last.insert(*it);
    if (earlier || weighted.contains(*it)) add(before, node.inputs);
  }
  std::vector<bool> ends;
  for (const NodeId id : layers) ends.push_back(!not_first.contains(id) || !not_last.contains(id));
  return ends;
}

std::optional<std::string> why_left_in_float(const Graph& graph, const Node& node,
                                             const BitPlan& plan, const QuantizeOptions& options) {
  if (std::ranges::find(options.skip, node.name) != options.skip.end()) {
    return "it is to be skipped";
  }
  if (auto reason = why_not_quantizable(graph, node)) return reason;
  if (plan.of(node.name).weight_bits == 0) return "the bit plan leaves it in float";
  return std::nullopt;
}

std::optional<std::string> why_product_left_in_float(const Node& node, const BitPlan& plan,
                                                     const QuantizeOptions& options) {
  if (std::ranges::find(options.skip, node.name) != options.skip.end()) {
    return "it is to be skipped";
  }
  if (options.dynamic) return "multiplies two activations, which dynamic quantization leaves alone";
  const LayerBits& bits = plan.of(node.name);
  if (bits.weight_bits == 0) return "the bit plan leaves it in float";
  if (bits.activation_bits == 0) return "multiplies two activations, which stay in float";
  return std::nullopt;
}

std::vector<Layer> find_products(const Graph& graph, const BitPlan& plan,
                                 const QuantizeOptions& options) {
  std::vector<Layer> products;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!multiplies_activations(graph, node)) continue;
    if (why_product_left_in_float(node, plan, options)) continue;
    products.push_back({id, node.name, plan.of(node.name)});
  }
  return products;
}

std::vector<Layer> find_layers(const Graph& graph, const BitPlan& plan,
                               const QuantizeOptions& options) {
  check_names(graph, plan, options);
  std::vector<Layer> layers;
  std::vector<NodeId> ids;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!has_weight(graph, node) || why_left_in_float(graph, node, plan, options)) continue;
    layers.push_back({id, node.name, plan.of(node.name)});
    if (stores_weight(node)) layers.back().bits.activation_bits = 0;
    // A table that rows are picked from computes nothing: it is no end.
    if (graph.value(data_of(node)).type.dtype == DType::f32) ids.push_back(id);
  }
  if (!options.first_and_last_8bit) return layers;
  const std::vector<bool> ends = at_the_ends(graph, ids);
  for (size_t i = 0, end = 0; i < layers.size(); ++i) {
    const bool computes = end < ids.size() && ids[end] == layers[i].id;
    if (!computes || !ends[end++]) continue;
    LayerBits& bits = layers[i].bits;
    bits.weight_bits = std::max(bits.weight_bits, 8);
    if (bits.activation_bits > 0) bits.activation_bits = std::max(bits.activation_bits, 8);
  }
  return layers;
}

}  // namespace nibble
