// Grids of values, and where QuantizeLinear and DequantizeLinear stand.
#include <algorithm>

#include "ops/op.h"
#include "passes/insert_qdq.h"
#include "verbs/checks/checks.h"

namespace nibble {
namespace {

void check_types(const CheckedGraph& checked, Findings& findings) {
  for (std::string& reason : reasons_not_written(checked.graph, checked.target)) {
    findings.add(checked.path, "{}", std::move(reason));
  }
}

void check_opset(const CheckedGraph& checked, Findings& findings) {
  int needed = 0;
  ValueId first;
  for (int32_t i = 0; i < checked.graph.value_count(); ++i) {
    const auto& quant = checked.graph.value({i}).type.quant;
    if (!quant || opset_for(*quant) <= needed) continue;
    needed = opset_for(*quant);
    first = {i};
  }
  if (needed <= checked.graph.opset()) return;
  findings.add(checked.name(first),
               "'{}' is {}, which needs opset {}, but the file says opset {}; raise it",
               checked.name(first), to_string(checked.graph.value(first).type), needed,
               checked.graph.opset());
}

// Pairs have become types when a model is read: those that are left have no partner.
void check_lone_nodes(const CheckedGraph& checked, Findings& findings) {
  const Graph& graph = checked.graph;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.domain.empty() || !node.input(0) || !node.output(0)) continue;
    const std::string name = checked.name(node);
    if (node.op == "QuantizeLinear" && !graph.is_output(node.outputs[0])) {
      findings.add(name,
                   "{}: its codes '{}' go to no DequantizeLinear of the same constant scale and "
                   "zero point alone, so that no runtime can make an integer layer of it; use one "
                   "such pair for each value",
                   name, checked.name(node.outputs[0]));
    }
    if (node.op == "DequantizeLinear" && !graph.is_input(node.inputs[0])) {
      findings.add(name,
                   "{}: its codes '{}' are neither constant nor of a QuantizeLinear with the same "
                   "constant scale and zero point, so that no runtime can make an integer layer of "
                   "it; use one such pair for each value",
                   name, checked.name(node.inputs[0]));
    }
  }
}

std::string grid_text(const QuantParams& grid) {
  return fmt::format("scale {:.6g}, zero point {}", grid.scale[0], grid.zero_point[0]);
}

void check_moved_codes(const CheckedGraph& checked, Findings& findings) {
  const Graph& graph = checked.graph;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const OpRow* row = find_op(node.op, node.domain);
    if (row == nullptr || row->quant != QuantRole::same_codes || node.op == "Identity") continue;
    if (!node.input(0) || !node.output(0) || graph.value(node.inputs[0]).is_constant()) continue;
    const auto& in = graph.value(node.inputs[0]).type.quant;
    const auto& out = graph.value(node.outputs[0]).type.quant;
    if (!in || !out || (in->scale == out->scale && in->zero_point == out->zero_point)) continue;
    findings.add(checked.name(node),
                 "{}: it only moves codes, but its data have {} and its result has {}: they are "
                 "rounded twice; give both the same",
                 checked.name(node), grid_text(*in), grid_text(*out));
  }
}

void check_concatenation(const CheckedGraph& checked, Findings& findings) {
  const Graph& graph = checked.graph;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op != "Concat" || !node.domain.empty() || !node.output(0)) continue;
    const auto& out = graph.value(node.outputs[0]).type.quant;
    if (!out) continue;
    const auto differs = [&](ValueId input) {
      const auto& in = graph.value(input).type.quant;
      return in && (in->scale != out->scale || in->zero_point != out->zero_point);
    };
    const auto other = std::ranges::find_if(node.inputs, differs);
    if (other == node.inputs.end()) continue;
    findings.add(
        checked.name(node),
        "{}: '{}' has {} and the result has {}: its codes are rounded once more where they "
        "could be copied; give all of them the same",
        checked.name(node), checked.name(*other), grid_text(*graph.value(*other).type.quant),
        grid_text(*out));
  }
}

}  // namespace

const CheckRow kTypes = {"types", "all types and operators are such as the target has",
                         check_types};
const CheckRow kOpset = {"opset", "the opset has what the types need", check_opset};
const CheckRow kLoneNodes = {
    "lone-nodes", "QuantizeLinear and DequantizeLinear stand in pairs, or before constants",
    check_lone_nodes};
const CheckRow kMovedCodes = {"moved-codes", "what only moves codes has one grid on both sides",
                              check_moved_codes};
const CheckRow kConcatenation = {"concatenation", "what is concatenated has the grid of the result",
                                 check_concatenation};

}  // namespace nibble
