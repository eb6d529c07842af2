#include "quant/node_plan.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "ops/roles.h"

namespace nibble {
namespace {

constexpr std::string_view kStored = "weights in few bits, data in float";
constexpr std::string_view kNeverRan = "its body ran for none of the samples";

std::map<ValueId, ValueId> copy_outputs_that_are_read(Graph& graph) {
  std::map<ValueId, ValueId> source;  // of each copy
  for (const ValueId output : graph.outputs) {
    const std::vector<NodeId> readers = graph.consumers(output);
    if (readers.empty() || !graph.producer(output)) continue;
    const Value value = graph.value(output);
    const ValueId copy = graph.add_value(graph.unique_value_name(value.name + "_copy"), value.type);
    for (const NodeId reader : readers) {
      std::ranges::replace(graph.node(reader).inputs, output, copy);
    }
    graph.insert_node(readers[0], {.op = "Identity",
                                   .name = graph.unique_node_name(value.name + "_copy"),
                                   .inputs = {output},
                                   .outputs = {copy}});
    source[copy] = output;
  }
  return source;
}

// What sums and other integer arithmetic read keeps 8 bits. Layers that read it as well, in fewer,
// read a copy: by each of `layers` that does, the copy of its operand.
//
// Before: %r as u4, read by conv2 and by add1     After: %r as u8, read by add1
//                                                        %r_4bit as u4 = Identity(%r), by conv2
class Copier {
 public:
  Copier(Graph& graph, QuantizationPlan& plan) : graph_(graph), plan_(plan) {}

  bool run() {
    for (const Layer& layer : plan_.layers) {
      if (layer.quantizes_data()) copy_for(layer, data_of(graph_.node(layer.id)));
    }
    for (const Layer& product : plan_.products) {
      copy_for(product, data_of(graph_.node(product.id)));
      copy_for(product, weight_of(graph_.node(product.id)));
    }
    return !copies_.empty();
  }

 private:
  bool is_read_by_arithmetic(ValueId value) const {
    return std::ranges::any_of(graph_.consumers(value), [&](NodeId reader) {
      const Node& node = graph_.node(reader);
      const OpRow* row = find_op(node.op, node.domain);
      return plan_.types.nodes.contains(reader) && row->quant == QuantRole::arithmetic;
    });
  }

  void copy_for(const Layer& layer, ValueId value) {
    const auto type = plan_.types.activations.find(value);
    if (layer.bits.activation_bits >= 8 || type == plan_.types.activations.end()) return;
    if (type->second.bits >= 8 || graph_.value(value).is_constant()) return;
    const auto key = std::pair(value, layer.bits.activation_bits);
    auto copy = copies_.find(key);
    if (copy == copies_.end()) {
      if (!is_read_by_arithmetic(value)) return;
      const std::string name =
          fmt::format("{}_{}bit", graph_.value(value).name, layer.bits.activation_bits);
      const ValueId made =
          graph_.add_value(graph_.unique_value_name(name), graph_.value(value).type);
      graph_.insert_node(graph_.consumers(value)[0], {.op = "Identity",
                                                      .name = graph_.unique_node_name(name),
                                                      .inputs = {value},
                                                      .outputs = {made}});
      copy = copies_.emplace(key, made).first;
      const auto source = plan_.copies.find(value);
      plan_.copies[made] = source == plan_.copies.end() ? value : source->second;
    }
    std::ranges::replace(graph_.node(layer.id).inputs, value, copy->second);
  }

  Graph& graph_;
  QuantizationPlan& plan_;
  std::map<std::pair<ValueId, int>, ValueId> copies_;  // by source and bits
};

// Integers come out of it: codes, or what the node behind it takes into its own arithmetic.
bool gives_integers(const Graph& graph, const QuantizationPlan& plan, const Node& node) {
  return std::ranges::any_of(node.outputs, [&](ValueId output) {
    if (!output) return false;
    if (plan.types.activations.contains(output)) return true;
    const std::vector<NodeId> readers = graph.consumers(output);
    return !graph.is_output(output) && !readers.empty() &&
           std::ranges::all_of(readers, [&](NodeId r) { return plan.types.nodes.contains(r); });
  });
}

std::string why_not_between_layers(const Graph& graph, const Node& node, QuantRole role,
                                   const std::string& plan_path) {
  const auto type = [&](ValueId id) { return graph.value(id).type; };
  if (!node.input(0) || type(node.inputs[0]).dtype != DType::f32) {
    return "works on integers, not on reals";
  }
  const auto is_table = [&](ValueId id) {
    return id && graph.value(id).is_constant() && graph.value(id).data.elements() != 1;
  };
  if (role == QuantRole::arithmetic && std::ranges::any_of(node.inputs, is_table)) {
    return "reads a constant of more than one number, and stays in float";
  }
  const auto is_output = [&](ValueId id) { return id && graph.is_output(id); };
  if (std::ranges::any_of(node.outputs, is_output)) {
    return plan_path.empty() ? "gives an output of the network, which stays in float"
                             : "gives an output of its body, which stays in float";
  }
  return "does not lie between quantized layers, and stays in float";
}

}  // namespace

namespace {

// Whether a value in the body, or in a body within it, was seen.
bool has_run(const RangeReport& ranges, const std::string& path) {
  return std::ranges::any_of(ranges.tensors, [&](const TensorRange& range) {
    return !range.is_weight && range.name.starts_with(path);
  });
}

void leave_activations_in_float(QuantizationPlan& plan) {
  plan.lost_activations = std::ranges::any_of(plan.layers, &Layer::quantizes_data);
  for (Layer& layer : plan.layers) layer.bits.activation_bits = 0;
}

}  // namespace

std::vector<QuantizationPlan> plan_quantization(const OpenGraphs& open, const BitPlan& bits,
                                                const QuantizeOptions& options,
                                                const RangeReport* ranges) {
  auto layers = find_layers(*open.all().front()->graph, bits, options);
  std::vector<QuantizationPlan> plans;
  for (const auto& scope : open.all()) {
    Graph& graph = *scope->graph;
    QuantizationPlan& plan = plans.emplace_back();
    plan.path = scope->path;
    plan.layers = std::move(layers[scope->path]);
    if (options.dynamic) continue;
    plan.never_ran = ranges != nullptr && scope->outer != nullptr && !has_run(*ranges, scope->path);
    if (plan.never_ran) leave_activations_in_float(plan);
    plan.copies = copy_outputs_that_are_read(graph);
    if (!plan.never_ran) plan.products = find_products(graph, scope->path, bits, options);
    const auto plan_types = [&] {
      plan.types = plan_value_types(graph, plan.layers, plan.products,
                                    std::max(8, bits.fallback.activation_bits));
    };
    plan_types();
    if (options.eight_bit_sums && Copier(graph, plan).run()) plan_types();
  }
  return plans;
}

NodeFate fate_of(const Graph& graph, const QuantizationPlan& plan, const BitPlan& bits,
                 const QuantizeOptions& options, NodeId id) {
  const Node& node = graph.node(id);
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr) return {false, "Nibble does not have this operator"};
  if (multiplies_activations(graph, node)) {
    if (auto reason = why_product_left_in_float(plan.path + node.name, bits, options)) {
      return {false, *reason};
    }
    if (plan.never_ran) return {false, std::string(kNeverRan)};
    return {true, "integer product of two activations"};
  }
  if (has_weight(graph, node)) {
    if (auto reason = why_left_in_float(graph, node, plan.path, bits, options))
      return {false, *reason};
    if (stores_weight(node)) return {true, std::string(kStored)};
    return {true, std::string(describe(*row))};
  }
  if (!is_quantized_role(row->quant)) {
    if (stores_weight(node)) {
      return {false, why_not_quantizable(graph, node).value_or(std::string(row->why_float))};
    }
    return {false, std::string(describe(*row))};
  }
  if (plan.types.nodes.contains(id) && gives_integers(graph, plan, node)) {
    return {true, std::string(describe(*row))};
  }
  if (options.dynamic)
    return {false, "is no layer, and dynamic quantization quantizes layers alone"};
  return {false, why_not_between_layers(graph, node, row->quant, plan.path)};
}

bool is_quantized_role(QuantRole role) {
  return role != QuantRole::none && role != QuantRole::opaque_codes;
}

bool can_be_quantized(const OpRow& row) {
  return is_quantized_role(row.quant) || row.weights.stored;
}

std::string_view describe(const OpRow& row) {
  switch (row.quant) {
    case QuantRole::arithmetic:
      return "integer arithmetic between quantized layers";
    case QuantRole::table:
      return "a table of 8-bit codes between quantized layers";
    case QuantRole::same_codes:
      return "moves codes between quantized layers";
    case QuantRole::opaque_codes:
      return "is integer arithmetic already";
    case QuantRole::weighted:
      return "integer layer";
    case QuantRole::none:
      if (row.weights.stored) return kStored;
      break;
  }
  return row.why_float;
}

}  // namespace nibble
