#include "ranges/rounding.h"

#include <algorithm>

#include "base/table.h"
#include "ranges/roundings/list.h"

namespace nibble {
namespace {

std::vector<RoundingRow>& registry() {
  static std::vector<RoundingRow> rows = rounding_rows();
  return rows;
}

}  // namespace

std::span<const RoundingRow> roundings() { return registry(); }

const RoundingRow& find_rounding(std::string_view name) {
  return find_row(roundings(), "rounding method", name);
}

void RoundingProgress::report(double share) const {
  constexpr int64_t kParts = 100;  // of a layer
  const double done = static_cast<double>(before) + share * static_cast<double>(layers);
  report_progress(sink, "rounding weights", static_cast<int64_t>(done * kParts), total * kParts);
}

RoundingRegistration::RoundingRegistration(const RoundingRow& row) {
  std::vector<RoundingRow>& rows = registry();
  const auto at = std::ranges::lower_bound(rows, row.name, {}, &RoundingRow::name);
  check(at == rows.end() || at->name != row.name, "two rounding methods have the same name");
  rows.insert(at, row);
}

Tensor round_weight(const RoundingRow& rounding, const Tensor& weight, const QuantParams& params,
                    ThreadPool& pool) {
  check(!rounding.looks_at_data(), "this rounding method looks at data");
  const WeightToRound one{weight, params};
  return rounding.round({.weights = std::span(&one, 1)}, pool)[0].codes;
}

}  // namespace nibble
