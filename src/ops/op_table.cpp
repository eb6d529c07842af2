// Gathers the rows of all operator families into one sorted table.
#include <algorithm>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/op.h"

namespace nibble {
namespace {

bool before(const OpRow& a, const OpRow& b) {
  return a.name != b.name ? a.name < b.name : a.domain < b.domain;
}

const std::vector<OpRow>& table() {
  static const std::vector<OpRow> rows = [] {
    std::vector<OpRow> all;
    for (OpFamily family : kFamilies) {
      const std::span<const OpRow> rows_of_family = family();
      all.insert(all.end(), rows_of_family.begin(), rows_of_family.end());
    }
    std::ranges::sort(all, before);
    return all;
  }();
  return rows;
}

}  // namespace

std::span<const OpRow> op_table() { return table(); }

const OpRow* find_op(std::string_view op, std::string_view domain) {
  if (domain == "ai.onnx") domain = "";
  OpRow key;
  key.name = op;
  key.domain = domain;
  const auto it = std::ranges::lower_bound(table(), key, before);
  return it != table().end() && it->name == op && it->domain == domain ? &*it : nullptr;
}

const OpRow& require_op(const Node& node, int opset) {
  if (const OpRow* row = find_op(node.op, node.domain)) return *row;
  std::string supported;
  for (const OpRow& row : table()) {
    if (!row.domain.empty()) continue;
    if (!supported.empty()) supported += ", ";
    supported += row.name;
  }
  fail(ErrorCode::unsupported, "{} at opset {} is an operator Nibble does not have; it has: {}",
       describe(node), opset, supported);
}

}  // namespace nibble
