#include "quant/layers.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/every_graph.h"

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
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    for (const NodeId id : one.nodes()) names.insert(path + one.node(id).name);
  });
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

namespace {

// What lies before and behind the layers of a model, which are known by name.
class Ends {
 public:
  explicit Ends(const std::set<std::string>& layers) : layers_(layers) {}

  // `before`, `behind`: there are layers around the graph that lead to it, or that it leads to.
  void visit(const Graph& graph, const std::string& path, bool before, bool behind) {
    const std::vector<NodeId> nodes = graph.nodes();
    std::set<NodeId> weighted, not_first, not_last;
    for (const NodeId id : nodes) {
      if (holds_layer(graph.node(id), path)) weighted.insert(id);
    }
    // Values with a layer before them, and values with a layer behind them.
    std::set<ValueId> after, leading;
    for (const NodeId id : nodes) {
      const Node& node = graph.node(id);
      const bool later = any_of(node.inputs, after) || any_of(node.captures, after);
      if (later || before) not_first.insert(id);
      if (later || weighted.contains(id)) add(after, node.outputs);
    }
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const Node& node = graph.node(*it);
      const bool earlier = any_of(node.outputs, leading);
      if (earlier || behind) not_last.insert(*it);
      if (!earlier && !weighted.contains(*it)) continue;
      add(leading, node.inputs);
      add(leading, node.captures);
    }
    for (const NodeId id : weighted) {
      const Node& node = graph.node(id);
      const bool first = !not_first.contains(id), last = !not_last.contains(id);
      if (layers_.contains(path + node.name) && (first || last)) found.insert(path + node.name);
      for (const auto& [name, attribute] : node.attributes) {
        const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute);
        if (body != nullptr) visit(**body, body_path(path, node, name), !first, !last);
      }
    }
  }
  std::set<std::string> found;

 private:
  static bool any_of(const std::vector<ValueId>& values, const std::set<ValueId>& among) {
    return std::ranges::any_of(values, [&](ValueId value) { return among.contains(value); });
  }
  static void add(std::set<ValueId>& values, const std::vector<ValueId>& more) {
    for (const ValueId value : more) {
      if (value) values.insert(value);  // what is left out links no nodes
    }
  }

  bool holds_layer(const Node& node, const std::string& path) const {
    if (layers_.contains(path + node.name)) return true;
    for (const auto& [name, attribute] : node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (body == nullptr) continue;
      const std::string inner = body_path(path, node, name);
      for (const NodeId id : (*body)->nodes()) {
        if (holds_layer((*body)->node(id), inner)) return true;
      }
    }
    return false;
  }

  const std::set<std::string>& layers_;
};

}  // namespace

std::set<std::string> layers_at_the_ends(const Graph& model, const std::set<std::string>& layers) {
  Ends ends(layers);
  ends.visit(model, "", false, false);
  return std::move(ends.found);
}

std::optional<std::string> why_left_in_float(const Graph& graph, const Node& node,
                                             const std::string& path, const BitPlan& plan,
                                             const QuantizeOptions& options) {
  const std::string name = path + node.name;
  if (std::ranges::find(options.skip, name) != options.skip.end()) return "it is to be skipped";
  if (auto reason = why_not_quantizable(graph, node)) return reason;
  if (plan.of(name).weight_bits == 0) return "the bit plan leaves it in float";
  return std::nullopt;
}

std::optional<std::string> why_product_left_in_float(const std::string& name, const BitPlan& plan,
                                                     const QuantizeOptions& options) {
  if (std::ranges::find(options.skip, name) != options.skip.end()) return "it is to be skipped";
  if (options.dynamic) return "multiplies two activations, which dynamic quantization leaves alone";
  const LayerBits& bits = plan.of(name);
  if (bits.weight_bits == 0) return "the bit plan leaves it in float";
  if (bits.activation_bits == 0) return "multiplies two activations, which stay in float";
  return std::nullopt;
}

std::vector<Layer> find_products(const Graph& graph, const std::string& path, const BitPlan& plan,
                                 const QuantizeOptions& options) {
  std::vector<Layer> products;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!multiplies_activations(graph, node)) continue;
    const std::string name = path + node.name;
    if (why_product_left_in_float(name, plan, options)) continue;
    products.push_back({id, name, plan.of(name)});
  }
  return products;
}

std::map<std::string, std::vector<Layer>> find_layers(const Graph& model, const BitPlan& plan,
                                                      const QuantizeOptions& options) {
  check_names(model, plan, options);
  std::map<std::string, std::vector<Layer>> layers;
  std::set<std::string> computing;
  visit_every_graph(model, [&](const Graph& graph, const std::string& path) {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      if (!has_weight(graph, node) || why_left_in_float(graph, node, path, plan, options)) continue;
      Layer layer{id, path + node.name, plan.of(path + node.name)};
      if (stores_weight(node)) layer.bits.activation_bits = 0;
      // A table that rows are picked from computes nothing: it is no end.
      if (graph.value(data_of(node)).type.dtype == DType::f32) computing.insert(layer.name);
      layers[path].push_back(std::move(layer));
    }
  });
  if (!options.first_and_last_8bit) return layers;
  const std::set<std::string> ends = layers_at_the_ends(model, computing);
  for (auto& [path, some] : layers) {
    for (Layer& layer : some) {
      if (!ends.contains(layer.name)) continue;
      layer.bits.weight_bits = std::max(layer.bits.weight_bits, 8);
      if (layer.quantizes_data()) {
        layer.bits.activation_bits = std::max(layer.bits.activation_bits, 8);
      }
    }
  }
  return layers;
}

}  // namespace nibble
