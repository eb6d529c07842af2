#include "quant/one_layer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/every_graph.h"

namespace nibble {
namespace {

Tensor real_constant(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

// The graph that holds a layer, and the layer in it.
struct Place {
  OpenGraph* scope = nullptr;
  NodeId node;
};
Place find_layer(const OpenGraphs& open, const std::string& layer) {
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      if (scope->path + scope->graph->node(id).name == layer) return {scope.get(), id};
    }
  }
  check(false, "quantize() keeps the names of layers");
  return {};
}

// The layers of one graph, and which of them a value belongs to.
class Owners {
 public:
  Owners(const Graph& graph, const std::string& path, const std::set<std::string>& layers)
      : graph_(graph), path_(path), layers_(layers) {}

  std::vector<std::string> of(ValueId value) const {
    std::vector<std::string> readers;
    for (const NodeId id : graph_.consumers(value)) {
      const Node& node = graph_.node(id);
      if (is_layer(node) && data_of(node) == value) readers.push_back(path_ + node.name);
    }
    if (!readers.empty()) return readers;
    if (const auto before = layer_before(value)) return {*before};
    return {};
  }

 private:
  bool is_layer(const Node& node) const { return layers_.contains(path_ + node.name); }

  // Along the first inputs that are computed.
  std::optional<std::string> layer_before(ValueId value) const {
    for (auto at = graph_.producer(value); at;) {
      const Node& node = graph_.node(*at);
      if (is_layer(node)) return path_ + node.name;
      at = {};
      for (const ValueId input : node.inputs) {
        if (input && !at) at = graph_.producer(input);
      }
    }
    return std::nullopt;
  }

  const Graph& graph_;
  const std::string& path_;
  const std::set<std::string>& layers_;
};

}  // namespace

Graph with_weights_of(const Graph& graph, const Graph& quantized, const Layer& layer) {
  Graph result = graph, other = quantized;
  OpenGraphs open(result);
  const OpenGraphs open_other(other);
  const Place from = find_layer(open_other, layer.name), to = find_layer(open, layer.name);
  const Node& source = from.scope->graph->node(from.node);
  Graph& target = *to.scope->graph;
  for (size_t i = 1; i < 3; ++i) {
    if (!source.input(i)) continue;
    // Branches may share it.
    const auto [around, id] = from.scope->origin(source.inputs[i]);
    const Value& value = around->graph->value(id);
    if (!value.is_constant()) continue;
    const ValueId rounded =
        target.add_constant(target.unique_value_name("rounded"), real_constant(value));
    Node& node = target.node(to.node);
    if (node.inputs.size() <= i) node.inputs.resize(i + 1);
    node.inputs[i] = rounded;
  }
  open.close();
  return result;
}

LayerActivations::LayerActivations(const Graph& graph, const Graph& quantized,
                                   const std::vector<Layer>& layers) {
  std::set<std::string> names;
  for (const Layer& layer : layers) names.insert(layer.name);
  std::map<std::string, std::map<std::string, QuantParams>> grids;  // by path and value
  visit_every_graph(quantized, [&](const Graph& one, const std::string& path) {
    for (int32_t i = 0; i < one.value_count(); ++i) {
      const Value& value = one.value({i});
      if (!value.is_constant() && value.type.quant) grids[path][value.name] = *value.type.quant;
    }
  });
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    const Owners owners(one, path, names);
    for (const auto& [name, quant] : grids[path]) {
      const auto value = one.find_value(name);
      // A copy that quantize() made, or a captured value, which has its grid where it is made.
      if (!value || is_free(one, *value)) continue;
      const std::vector<std::string> all = owners.of(*value);
      for (const std::string& layer : all) {
        by_layer_[layer].push_back({path, name, quant, 1.0 / static_cast<double>(all.size())});
      }
    }
  });
}

Graph LayerActivations::with_activations_of(const Graph& graph, const std::string& layer) const {
  Graph result = graph;
  const auto found = by_layer_.find(layer);
  if (found == by_layer_.end()) return result;
  edit_every_graph(result, [&](Graph& one, const std::string& path) {
    int changed = 0;
    for (const Typed& typed : found->second) {
      if (typed.path != path) continue;
      one.value(*one.find_value(typed.value)).type.quant = typed.quant;
      ++changed;
    }
    return changed;
  });
  return result;
}

double LayerActivations::share_of(const std::string& layer) const {
  const auto found = by_layer_.find(layer);
  if (found == by_layer_.end()) return 0;
  double sum = 0;
  for (const Typed& typed : found->second) sum += typed.share;
  return sum / static_cast<double>(found->second.size());
}

bool is_in_body(const Graph& model, const Layer& layer) {
  return std::ranges::none_of(model.nodes(),
                              [&](NodeId id) { return model.node(id).name == layer.name; });
}

}  // namespace nibble
