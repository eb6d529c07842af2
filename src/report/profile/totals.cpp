// The steps of a profile by kind.
#include <fmt/format.h>

#include <algorithm>

#include "nibble/profile.h"

namespace nibble {
bool computes(StepKind kind) {
  return kind != StepKind::conversion && kind != StepKind::layout && kind != StepKind::control;
}

std::string_view name_of_arithmetic(DType arithmetic) {
  if (arithmetic == DType::f32) return "float";
  if (arithmetic == DType::i64) return "integers";
  return arithmetic == DType::i16 ? "int16" : "int8";
}

std::string label_of(StepKind kind, DType arithmetic) {
  if (!computes(kind)) return std::string(name_of(kind));
  return fmt::format("{}, {}", name_of(kind), name_of_arithmetic(arithmetic));
}

std::vector<KindTotal> totals_by_kind(const NetworkProfile& profile) {
  std::vector<KindTotal> totals;
  std::vector<double> multiplying;  // seconds, parallel to totals
  for (const ProfiledStep& one : profile.steps) {
    const StepKind kind = one.step.kind;
    const DType arithmetic = computes(kind) ? one.step.arithmetic : DType::f32;
    auto at = std::ranges::find_if(totals, [&](const KindTotal& total) {
      return total.kind == kind && total.arithmetic == arithmetic;
    });
    if (at == totals.end()) {
      at = totals.insert(at, {.kind = kind, .arithmetic = arithmetic});
      multiplying.push_back(0);
    }
    ++at->steps;
    at->seconds += one.median_s;
    at->share += one.share;
    at->macs += one.step.macs;
    if (one.step.macs > 0) multiplying[static_cast<size_t>(at - totals.begin())] += one.median_s;
  }
  for (size_t i = 0; i < totals.size(); ++i) {
    KindTotal& total = totals[i];
    if (multiplying[i] <= 0) continue;
    total.operations = 2 * static_cast<double>(total.macs) / multiplying[i];
    const double peak = profile.peak.of(total.arithmetic);
    if (peak > 0) total.of_peak = *total.operations / peak;
  }
  std::ranges::stable_sort(totals, std::greater<>(), &KindTotal::seconds);
  return totals;
}

}  // namespace nibble
