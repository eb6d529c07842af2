// Where the time of an inference goes: by kind of step, the costliest steps, and those in float.
#include <fmt/format.h>

#include <algorithm>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"

namespace nibble::page {
namespace {

std::string percent(const std::optional<double>& share) {
  return share ? fmt::format("{:.1f} %", 100 * *share) : "";
}
std::string giga(const std::optional<double>& rate) {
  return rate ? fmt::format("{:.3g}", *rate / 1e9) : "";
}

std::string by_kind(const TimedModel& timed, const std::string& label) {
  HtmlTable table(fmt::format("The time of {} by kind of step", label),
                  {{"kind"},
                   {"arithmetic"},
                   {"steps", true},
                   {"time", true},
                   {"of all", true},
                   {"GOP/s", true},
                   {"of this machine's peak", true}});
  for (const TimedStep& kind : timed.kinds) {
    table.add_row({{kind.kind},
                   {kind.arithmetic},
                   {std::to_string(kind.steps)},
                   {format_duration(kind.seconds)},
                   {percent(kind.share)},
                   {giga(kind.operations)},
                   {percent(kind.of_peak)}});
  }
  return table.html();
}

std::string costliest(const TimedModel& timed, const std::string& label) {
  constexpr size_t kMost = 10;
  std::vector<const TimedStep*> steps;
  for (const TimedStep& step : timed.steps) steps.push_back(&step);
  std::ranges::stable_sort(steps, std::greater<>(), &TimedStep::seconds);
  HtmlTable table(fmt::format("The steps of {} that take longest", label),
                  {{"step"},
                   {"operator"},
                   {"kernel"},
                   {"time", true},
                   {"of all", true},
                   {"of this machine's peak", true},
                   {"in float, because"},
                   {"what helps"}});
  for (size_t i = 0; i < std::min(kMost, steps.size()); ++i) {
    const TimedStep& step = *steps[i];
    table.add_row({{step.node},
                   {step.op},
                   {step.kernel == "eval" ? "plain loops" : step.kernel},
                   {format_duration(step.seconds)},
                   {percent(step.share)},
                   {percent(step.of_peak)},
                   {step.why_float},
                   {step.remedy}});
  }
  std::string html = table.html();
  if (steps.size() > kMost) {
    html += fmt::format("<p class=\"aside\">{} more take less.</p>\n", steps.size() - kMost);
  }
  return html;
}

std::string about(const TimedModel& timed, const std::string& label) {
  double in_float = 0;
  for (const TimedStep& step : timed.steps) in_float += step.why_float.empty() ? 0 : step.share;
  return fmt::format(
      "<h3>{}</h3>\n<p>An inference takes {}, its steps {} together, {} of that in float: medians "
      "of {} runs with {} thread{}, batch {}{}.</p>\n",
      escape(label), format_duration(timed.whole_s), format_duration(timed.steps_s),
      fmt::format("{:.1f} %", 100 * in_float), timed.runs, timed.threads,
      timed.threads == 1 ? "" : "s", timed.batch,
      timed.machine.empty() ? "" : ", on " + escape(timed.machine));
}

}  // namespace

std::string profile_section(const Findings& findings) {
  std::string html;
  for (const TimedModel& timed : findings.profiles) {
    const std::string& label = findings.label(timed.model);
    html += about(timed, label) + by_kind(timed, label) + costliest(timed, label);
  }
  return html;
}

}  // namespace nibble::page
