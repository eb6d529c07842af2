#include "quant/node_plan.h"

#include <algorithm>

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
    plan.types = plan_value_types(graph, plan.layers, plan.products,
                                  std::max(8, bits.fallback.activation_bits));
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
