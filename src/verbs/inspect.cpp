#include "verbs/inspect.h"

#include "base/check.h"
#include "base/text.h"
#include "nibble/onnx.h"
#include "ops/require_ops.h"
#include "passes/every_graph.h"
#include "quant/node_plan.h"

namespace nibble {
namespace {

Json values_json(const Graph& graph, const std::vector<ValueId>& ids) {
  Json list = Json::array();
  for (ValueId id : ids) {
    list.push_back({{"name", graph.value(id).name}, {"type", to_string(graph.value(id).type)}});
  }
  return list;
}

bool is_called(std::string_view name, std::string_view op, std::string_view domain) {
  return name.empty() || edit_distance(name, op) == 0 ||
         edit_distance(name, full_op_name(op, domain)) == 0;
}

Json to_json(const OpRow& row) {
  return {{"op", row.name},
          {"domain", row.domain},
          {"inputs", {{"min", row.min_inputs}, {"max", row.max_inputs}}},
          {"outputs", {{"min", row.min_outputs}, {"max", row.max_outputs}}},
          {"quantized", can_be_quantized(row)},
          {"quantized_how", describe(row)},
          {"trained", row.gradient == Gradient::autograd}};
}

}  // namespace

Inspection inspect_model(const Graph& graph) {
  Inspection found{.nodes = inspect_nodes(graph)};
  visit_every_graph(graph, [&](const Graph& one, const std::string&) {
    for (NodeId id : one.nodes()) {
      const Node& node = one.node(id);
      ++found.operators[full_op_name(node.op, node.domain)];
    }
    for (int32_t i = 0; i < one.value_count(); ++i) {
      const Value& value = one.value({i});
      if (value.is_constant() && value.type.quant) ++found.quantized_constants;
    }
  });
  for (const MissingOp& missing : missing_ops(graph)) found.unsupported.insert(missing.op);
  for (const NodeSupport& node : found.nodes) {
    found.parameters += node.parameters;
    found.macs += node.macs;
    if (node.quantizable) found.quantizable_macs += node.macs;
  }
  return found;
}

Json to_json(const Inspection& found, const Graph& graph, std::optional<uint64_t> file_bytes) {
  Json json = {{"file_bytes", file_bytes ? Json(*file_bytes) : Json()},
               {"opset", graph.opset()},
               {"ir_version", onnx_origin(graph).ir_version},
               {"producer", onnx_origin(graph).producer},
               {"inputs", values_json(graph, graph.inputs)},
               {"outputs", values_json(graph, graph.outputs)},
               {"parameters", found.parameters},
               {"macs", found.macs},
               {"quantizable_macs", found.quantizable_macs},
               {"quantized_constants", found.quantized_constants},
               {"operators", found.operators},
               {"unsupported", found.unsupported},
               {"nodes", Json::array()}};
  for (const NodeSupport& node : found.nodes) {
    json["nodes"].push_back({{"node", node.node},
                             {"op", node.op},
                             {"parameters", node.parameters},
                             {"macs", node.macs},
                             {"quantizable", node.quantizable},
                             {"reason", node.reason}});
  }
  return json;
}

Operators find_operators(std::string_view name) {
  Operators found;
  for (const OpRow& row : op_table()) {
    if (row.domain != "nibble" && is_called(name, row.name, row.domain)) {
      found.rows.push_back(&row);
    }
  }
  for (const ExpansionRow& row : expansion_table()) {
    if (is_called(name, row.op, row.domain)) found.read_as_parts.push_back(&row);
  }
  if (!found.rows.empty() || !found.read_as_parts.empty()) return found;
  std::vector<std::string> names = nearest_ops(std::string(name));
  for (const ExpansionRow& row : expansion_table()) {
    names.push_back(full_op_name(row.op, row.domain));
  }
  fail(ErrorCode::invalid_argument, "Nibble does not have the operator '{}'{}", name,
       did_you_mean(name, names));
}

Json to_json(const Operators& operators) {
  Json list = Json::array(), parts = Json::array();
  for (const OpRow* row : operators.rows) list.push_back(to_json(*row));
  for (const ExpansionRow* row : operators.read_as_parts) {
    parts.push_back({{"op", row->op}, {"domain", row->domain}, {"becomes", row->becomes}});
  }
  return {{"operators", std::move(list)}, {"read_as_parts", std::move(parts)}};
}

}  // namespace nibble
