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

// Names left out at the end of a list are as good as not written.
size_t count_to_last(std::span<const ValueId> ids) {
  while (!ids.empty() && !ids.back()) ids = ids.first(ids.size() - 1);
  return ids.size();
}

void check_count(std::string_view what, size_t have, int least, int most) {
  const auto count = static_cast<int64_t>(have);
  if (count >= least && (most < 0 || count <= most)) return;
  const std::string upper = most < 0 ? " or more" : most > least ? fmt::format(" to {}", most) : "";
  fail(ErrorCode::invalid_model, "it has {} {}, expected {}{}", have, what, least, upper);
}

}  // namespace

void check_arity(const Node& node, const OpRow& row) {
  check_count("inputs", count_to_last(node.inputs), row.min_inputs, row.max_inputs);
  for (size_t i = 0; i < static_cast<size_t>(row.min_inputs); ++i) {
    if (!node.inputs[i]) fail(ErrorCode::invalid_model, "its input {} is left out", i);
  }
  const size_t outputs = count_to_last(node.outputs);
  const bool none_wanted = outputs < static_cast<size_t>(row.min_outputs) &&
                           node.outputs.size() >= static_cast<size_t>(row.min_outputs);
  if (!none_wanted) check_count("outputs", outputs, row.min_outputs, row.max_outputs);
}

std::span<const OpRow> op_table() { return table(); }

const OpRow* find_op(std::string_view op, std::string_view domain) {
  if (domain == "ai.onnx") domain = "";
  OpRow key;
  key.name = op;
  key.domain = domain;
  const auto it = std::ranges::lower_bound(table(), key, before);
  return it != table().end() && it->name == op && it->domain == domain ? &*it : nullptr;
}

}  // namespace nibble
