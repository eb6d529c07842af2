#include "ops/require_ops.h"

#include <map>

#include "base/check.h"
#include "base/text.h"
#include "ops/op.h"

namespace nibble {
namespace {

constexpr std::string_view kHint = "`nibble ops` lists all that it has";

void collect(const Graph& graph, std::map<std::string, MissingOp>& missing) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (find_op(node.op, node.domain) == nullptr) {
      const std::string name = full_op_name(node.op, node.domain);
      MissingOp& entry = missing.try_emplace(name, MissingOp{name, node.domain, {}}).first->second;
      entry.nodes.push_back(node.name);
    }
    for (const auto& [name, attribute] : node.attributes) {
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
        collect(**body, missing);
      }
    }
  }
}

std::string nearest_text(std::string_view op) {
  const std::vector<std::string> near = nearest_ops(op);
  return near.empty() ? "" : "; the nearest it has: " + fmt::format("{}", fmt::join(near, ", "));
}

std::string node_text(const MissingOp& missing) {
  const size_t more = missing.nodes.size() - 1;
  return fmt::format("node '{}'{}", missing.nodes[0],
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

std::string full_op_name(std::string_view op, std::string_view domain) {
  return domain.empty() ? std::string(op) : fmt::format("{}::{}", domain, op);
}

std::vector<MissingOp> missing_ops(const Graph& graph) {
  std::map<std::string, MissingOp> missing;
  collect(graph, missing);
  std::vector<MissingOp> list;
  for (auto& [name, entry] : missing) list.push_back(std::move(entry));
  return list;
}

std::vector<std::string> nearest_ops(std::string_view op) {
  std::vector<std::string> names;
  for (const OpRow& row : op_table()) {
    if (row.domain != "nibble") names.push_back(full_op_name(row.name, row.domain));
  }
  return nearest_names(op, names);
}

void require_operators(const Graph& graph) {
  const std::vector<MissingOp> missing = missing_ops(graph);
  if (missing.empty()) return;
  std::string list;
  for (const MissingOp& entry : missing) {
    const std::string_view op =
        std::string_view(entry.op).substr(entry.domain.empty() ? 0 : entry.domain.size() + 2);
    list += fmt::format("{}{} ({}{})", list.empty() ? "" : ", ", entry.op, node_text(entry),
                        nearest_text(op));
  }
  fail(ErrorCode::unsupported, "the model (opset {}) uses {} that Nibble does not have: {}; {}",
       graph.opset(), missing.size() == 1 ? "an operator" : "operators", list, kHint);
}

const OpRow& require_op(const Node& node, int opset) {
  if (const OpRow* row = find_op(node.op, node.domain)) return *row;
  fail(ErrorCode::unsupported, "{} at opset {} is an operator that Nibble does not have{}; {}",
       describe(node), opset, nearest_text(node.op), kHint);
}

}  // namespace nibble
