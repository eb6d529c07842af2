// What a quantized network spends its time on that integers do not make faster, in one sentence.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "nibble/profile.h"
#include "passes/insert_qdq.h"
#include "report/format.h"

namespace nibble {
namespace {

constexpr double kTiny = 2e-6;         // seconds: a step that starts and ends, and little else
constexpr double kOfCopy = 0.5;        // of the rate of copies: what moves as fast waits for memory
constexpr double kWorthSaying = 0.25;  // of the time
constexpr size_t kNamed = 3;

using Pick = bool (*)(const NetworkProfile& profile, const ProfiledStep& step);

// Those of its steps that one cause fits.
struct Group {
  std::vector<const ProfiledStep*> steps;  // the longest first
  double share = 0;
};

Group pick(const NetworkProfile& profile, Pick fits) {
  Group group;
  for (const ProfiledStep& step : profile.steps) {
    if (!fits(profile, step)) continue;
    group.steps.push_back(&step);
    group.share += step.share;
  }
  std::ranges::stable_sort(group.steps, std::greater<>(), &ProfiledStep::median_s);
  return group;
}

bool is_in_float(const NetworkProfile&, const ProfiledStep& step) { return step.is_float(); }

bool changes_form(const NetworkProfile&, const ProfiledStep& step) {
  return step.step.kind == StepKind::conversion || step.step.kind == StepKind::layout;
}

bool waits_for_memory(const NetworkProfile& profile, const ProfiledStep& step) {
  return !step.is_float() && !changes_form(profile, step) && step.median_s > kTiny &&
         step.bytes.value_or(0) > kOfCopy * profile.peak.copy && profile.peak.copy > 0;
}

bool is_tiny(const NetworkProfile& profile, const ProfiledStep& step) {
  return !step.is_float() && !changes_form(profile, step) && step.median_s <= kTiny;
}

bool is_depthwise(const NetworkProfile& profile, const ProfiledStep& step) {
  return step.step.kind == StepKind::depthwise && !step.is_float() && !is_tiny(profile, step) &&
         !waits_for_memory(profile, step);
}

std::string percent(double share) { return fmt::format("{:.0f} %", 100 * share); }

std::string names(const Group& group) {
  std::string text;
  for (size_t i = 0; i < std::min(kNamed, group.steps.size()); ++i) {
    const ProfiledStep& step = *group.steps[i];
    text += fmt::format("{}{} ({}) {}", i == 0 ? "" : ", ", step.step.node, step.step.op,
                        percent(step.share));
  }
  if (group.steps.size() > kNamed) text += fmt::format(" and {} more", group.steps.size() - kNamed);
  return text;
}

std::string_view s(size_t count) { return count == 1 ? "" : "s"; }

struct Cause {
  Pick fits;
  std::string (*say)(const NetworkProfile& profile, const Group& group);
};

constexpr Cause kCauses[] = {
    {is_in_float,
     [](const NetworkProfile&, const Group& group) {
       return fmt::format("{} of the time is spent in {} float step{}: {}", percent(group.share),
                          group.steps.size(), s(group.steps.size()), names(group));
     }},
    {changes_form,
     [](const NetworkProfile&, const Group& group) {
       return fmt::format(
           "{} of the time is spent on {} conversion{} between reals and codes and layout changes: "
           "{}",
           percent(group.share), group.steps.size(), s(group.steps.size()), names(group));
     }},
    {is_tiny,
     [](const NetworkProfile&, const Group& group) {
       return fmt::format(
           "{} of the time is spent in {} step{} of {} or less, which take longer to start than to "
           "compute",
           percent(group.share), group.steps.size(), s(group.steps.size()), format_duration(kTiny));
     }},
    {waits_for_memory,
     [](const NetworkProfile& profile, const Group& group) {
       return fmt::format(
           "{} of the time is spent in {} step{} that wait for memory (this machine copies {:.3g} "
           "GB/s of as many bytes as the network holds): {}",
           percent(group.share), group.steps.size(), s(group.steps.size()), profile.peak.copy / 1e9,
           names(group));
     }},
    {is_depthwise,
     [](const NetworkProfile&, const Group& group) {
       return fmt::format(
           "{} of the time is spent in {} depthwise convolution{}, which move much and compute "
           "little: {}",
           percent(group.share), group.steps.size(), s(group.steps.size()), names(group));
     }},
};

}  // namespace

std::string why_not_faster(const NetworkProfile& quantized) {
  const Cause* best = nullptr;
  Group largest;
  for (const Cause& cause : kCauses) {
    Group group = pick(quantized, cause.fits);
    if (group.share < std::max(kWorthSaying, largest.share)) continue;
    largest = std::move(group);
    best = &cause;
  }
  if (best != nullptr) return best->say(quantized, largest);
  const MachinePeak& peak = quantized.peak;
  if (peak.f32 > 0 && peak.int8 < 2 * peak.f32) {
    return fmt::format(
        "this CPU multiplies 8-bit integers at {:.3g} GOP/s and floats at {:.3g}: there is little "
        "to gain",
        peak.int8 / 1e9, peak.f32 / 1e9);
  }
  const std::vector<KindTotal> totals = totals_by_kind(quantized);
  if (totals.empty()) return "it has no steps";
  return fmt::format(
      "no single cause: most of the time, {}, is spent in {} step{} of the kind "
      "\"{}\"",
      percent(totals[0].share), totals[0].steps, s(static_cast<size_t>(totals[0].steps)),
      label_of(totals[0].kind, totals[0].arithmetic));
}

std::optional<std::string> why_not_faster(const Graph& reference, const Graph& graph, double speed,
                                          const ProfileOptions& options) {
  constexpr double kFaster = 1.1;
  if (speed >= kFaster || is_quantized(reference) || !is_quantized(graph)) return std::nullopt;
  return why_not_faster(profile(graph, options));
}

}  // namespace nibble
