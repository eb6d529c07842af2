// Gathers the rows of all operator families into one sorted table.
#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/op.h"

namespace nibble {
namespace {

bool before(const OpRow& a, const OpRow& b) {
  return a.name != b.name ? a.name < b.name : a.domain < b.domain;
}

struct Table {
  std::vector<OpRow> rows;
  std::vector<size_t> families;        // by row: its place in linked_families()
  std::vector<std::atomic_bool> used;  // by family

  Table();
};

Table::Table() : used(linked_families().size()) {
  std::vector<std::pair<OpRow, size_t>> all;
  for (size_t i = 0; i < used.size(); ++i) {
    for (const OpRow& row : linked_families()[i]()) all.emplace_back(row, i);
  }
  std::ranges::sort(all, before, &std::pair<OpRow, size_t>::first);
  for (const auto& [row, family] : all) {
    rows.push_back(row);
    families.push_back(family);
  }
}

Table& table() {
  static Table all;
  return all;
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

std::span<const OpRow> op_table() { return table().rows; }

const OpRow* find_op(std::string_view op, std::string_view domain) {
  if (domain == "ai.onnx") domain = "";
  OpRow key;
  key.name = op;
  key.domain = domain;
  const std::vector<OpRow>& rows = table().rows;
  const auto it = std::ranges::lower_bound(rows, key, before);
  if (it == rows.end() || it->name != op || it->domain != domain) return nullptr;
  const size_t family = table().families[static_cast<size_t>(it - rows.begin())];
  table().used[family].store(true, std::memory_order_relaxed);
  return &*it;
}

bool family_used(size_t index) { return table().used[index].load(std::memory_order_relaxed); }

}  // namespace nibble
