#include "quant/value_types.h"

#include <algorithm>

#include "ops/roles.h"

namespace nibble {
namespace {

class Planner {
 public:
  Planner(const Graph& graph, const std::vector<Layer>& layers, const std::vector<Layer>& products)
      : graph_(graph) {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      for (const ValueId output : node.outputs) {
        if (output) producer_[output] = id;
      }
      for (const ValueId input : node.inputs) {
        if (input) readers_[input].push_back(id);
      }
      for (const ValueId capture : node.captures) readers_[capture].push_back(id);
    }
    for (const Layer& layer : layers) {
      if (!layer.quantizes_data()) continue;
      demand(layer, data_of(graph.node(layer.id)));
    }
    for (const Layer& product : products) {
      demand(product, data_of(graph.node(product.id)));
      demand(product, weight_of(graph.node(product.id)));
    }
  }

  ValueTypes plan(int default_bits) {
    choose_nodes();
    collect_values();
    group_values();
    for (const auto& [value, parent] : parent_) {
      int& bits = group_bits_[root(value)];
      const auto demanded = layer_bits_.find(value);
      if (demanded != layer_bits_.end()) bits = std::max(bits, demanded->second);
    }
    for (const auto& [value, parent] : parent_) {
      const ValueId group = root(value);
      const int bits = group_bits_[group];
      result_.activations[value] = {bits > 0 ? bits : default_bits, group};
    }
    return std::move(result_);
  }

 private:
  // The layer reads the value as codes.
  void demand(const Layer& layer, ValueId value) {
    layers_[layer.id].push_back(value);
    int& bits = layer_bits_[value];
    bits = std::max(bits, layer.bits.activation_bits);
  }

  bool is_f32(ValueId id) const { return graph_.value(id).type.dtype == DType::f32; }
  bool is_constant(ValueId id) const { return graph_.value(id).is_constant(); }
  bool is_integer(NodeId id) const { return layers_.contains(id) || result_.nodes.contains(id); }

  static QuantRole role(const Node& node) {
    const OpRow* row = find_op(node.op, node.domain);
    return row == nullptr ? QuantRole::none : row->quant;
  }

  // The operands that are quantized if the node is: all of arithmetic, the first of the others.
  std::vector<ValueId> data_inputs(const Node& node) const {
    std::vector<ValueId> data;
    const size_t count = role(node) == QuantRole::arithmetic ? node.inputs.size() : 1;
    for (size_t i = 0; i < count; ++i) {
      if (node.input(i) && !is_constant(node.inputs[i])) data.push_back(node.inputs[i]);
    }
    return data;
  }

  bool is_candidate(const Node& node) const {
    const QuantRole kind = role(node);
    if (kind != QuantRole::arithmetic && kind != QuantRole::table &&
        kind != QuantRole::same_codes) {
      return false;
    }
    const std::vector<ValueId> data = data_inputs(node);
    if (data.empty() || !std::ranges::all_of(data, [&](ValueId v) { return is_f32(v); })) {
      return false;
    }
    if (kind != QuantRole::arithmetic) return node.input(0) == data[0];
    // A constant operand has one scale: only a single number is sure to survive that.
    return std::ranges::all_of(node.inputs, [&](ValueId v) {
      return !v || !is_constant(v) || (is_f32(v) && graph_.value(v).data.elements() == 1);
    });
  }

  bool leads_to_layer(const Node& node) const {
    return std::ranges::any_of(node.outputs, [&](ValueId output) {
      const auto readers = readers_.find(output);
      if (!output || readers == readers_.end()) return false;
      return std::ranges::any_of(readers->second, [&](NodeId reader) {
        if (const auto layer = layers_.find(reader); layer != layers_.end()) {
          return std::ranges::count(layer->second, output) > 0;
        }
        return result_.nodes.contains(reader) &&
               std::ranges::count(data_inputs(graph_.node(reader)), output) > 0;
      });
    });
  }

  bool comes_from_integers(const Node& node) const {
    return std::ranges::all_of(data_inputs(node), [&](ValueId v) {
      const auto made_by = producer_.find(v);
      return layer_bits_.contains(v) || (made_by != producer_.end() && is_integer(made_by->second));
    });
  }

  // The largest set of candidates in which each has integers before it and a layer behind it.
  void choose_nodes() {
    for (const NodeId id : graph_.nodes()) {
      if (is_candidate(graph_.node(id))) result_.nodes.insert(id);
    }
    for (bool changed = true; changed;) {
      changed = std::erase_if(result_.nodes, [&](NodeId id) {
                  const Node& node = graph_.node(id);
                  return !comes_from_integers(node) || !leads_to_layer(node);
                }) > 0;
    }
  }

  // Between a layer and the clamp that will be part of it: never stored as integers.
  bool vanishes(ValueId value) const {
    const auto made_by = producer_.find(value);
    const auto readers = readers_.find(value);
    if (made_by == producer_.end() || readers == readers_.end()) return false;
    if (readers->second.size() != 1 || graph_.is_output(value)) return false;
    return takes_clamp(graph_.node(made_by->second)) &&
           clamp_of(graph_, graph_.node(readers->second[0])).has_value();
  }

  void collect_values() {
    for (const auto& [value, bits] : layer_bits_) parent_[value] = value;
    for (const NodeId id : result_.nodes) {
      const Node& node = graph_.node(id);
      for (const ValueId input : data_inputs(node)) parent_[input] = input;
      for (const ValueId output : node.outputs) {
        if (output && is_f32(output)) parent_[output] = output;
      }
      if (role(node) != QuantRole::arithmetic) continue;
      for (const ValueId input : node.inputs) {
        if (input && is_constant(input)) result_.constants.insert(input);
      }
    }
    std::erase_if(parent_, [&](const auto& entry) {
      if (layer_bits_.contains(entry.first)) return false;
      return vanishes(entry.first) || graph_.is_output(entry.first);
    });
  }

  // Union-find over values.
  ValueId root(ValueId value) {
    while (parent_.at(value) != value) value = parent_.at(value);
    return value;
  }
  void join(ValueId a, ValueId b) {
    if (!parent_.contains(a) || !parent_.contains(b)) return;
    const ValueId ra = root(a), rb = root(b);
    if (ra != rb) parent_[std::max(ra, rb)] = std::min(ra, rb);
  }

  // Codes that are only moved keep their parameters; an Identity, which moves nothing, is there to
  // give others. An operand that only Concat reads takes those of the result: it is then rounded
  // once, and copied.
  void group_values() {
    for (const NodeId id : result_.nodes) {
      const Node& node = graph_.node(id);
      const bool moves = role(node) == QuantRole::same_codes;
      const bool concat = node.op == "Concat" && node.domain.empty();
      if ((!moves && !concat) || node.op == "Identity") continue;
      for (const ValueId input : data_inputs(node)) {
        if (concat && readers_[input].size() != 1) continue;
        for (const ValueId output : node.outputs) {
          if (output) join(input, output);
        }
      }
    }
  }

  const Graph& graph_;
  std::map<ValueId, NodeId> producer_;
  std::map<ValueId, std::vector<NodeId>> readers_;
  std::map<NodeId, std::vector<ValueId>> layers_;  // with what they read as codes
  std::map<ValueId, int> layer_bits_;              // of all that they read
  std::map<ValueId, ValueId> parent_;              // every quantized value; union-find
  std::map<ValueId, int> group_bits_;
  ValueTypes result_;
};

}  // namespace

ValueTypes plan_value_types(const Graph& graph, const std::vector<Layer>& layers,
                            const std::vector<Layer>& products, int default_activation_bits) {
  return Planner(graph, layers, products).plan(default_activation_bits);
}

}  // namespace nibble
