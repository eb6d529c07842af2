#include "verbs/profile.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

Json arithmetic_json(StepKind kind, DType arithmetic) {
  return computes(kind) ? Json(name_of_arithmetic(arithmetic)) : Json();
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

Json step_json(const ProfiledStep& one) {
  const StepProfile& step = one.step;
  Json json = {{"node", step.node},
               {"op", step.op},
               {"kind", name_of(step.kind)},
               {"arithmetic", arithmetic_json(step.kind, step.arithmetic)},
               {"kernel", step.kernel},
               {"result", step.result},
               {"executions", step.runs.size()},
               {"median_s", one.median_s},
               {"share", one.share},
               {"macs", step.macs},
               {"operations_per_second", or_null(one.operations)},
               {"of_peak", or_null(one.of_peak)},
               {"weight_bytes", or_null(step.weight_bytes)},
               {"read_bytes", or_null(step.read_bytes)},
               {"written_bytes", or_null(step.written_bytes)},
               {"bytes_per_second", or_null(one.bytes)}};
  if (one.is_float()) {
    json["why_float"] = one.why_float;
    json["remedy"] = one.remedy;
  }
  if (!step.refused.empty()) json["refused"] = step.refused;
  return json;
}

Json kind_json(const KindTotal& total) {
  return {{"kind", name_of(total.kind)},
          {"arithmetic", arithmetic_json(total.kind, total.arithmetic)},
          {"steps", total.steps},
          {"seconds", total.seconds},
          {"share", total.share},
          {"macs", total.macs},
          {"operations_per_second", or_null(total.operations)},
          {"of_peak", or_null(total.of_peak)}};
}

// To the nanosecond.
double microseconds(double seconds) { return std::round(1e9 * seconds) / 1e3; }

Json event(std::string_view name, std::string_view category, double begin_s, double end_s) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"ts", microseconds(begin_s)},
          {"dur", microseconds(end_s - begin_s)},
          {"pid", 1},
          {"tid", 1}};
}

// What a viewer shows of a step that is clicked on.
Json arguments(const ProfiledStep& one) {
  const StepProfile& step = one.step;
  Json json = {{"op", step.op},
               {"kernel", step.kernel},
               {"result", step.result},
               {"median_us", microseconds(one.median_s)}};
  if (computes(step.kind)) json["arithmetic"] = name_of_arithmetic(step.arithmetic);
  if (step.macs > 0) json["macs"] = step.macs;
  if (one.operations) json["GOP/s"] = *one.operations / 1e9;
  if (one.of_peak) json["of_peak"] = *one.of_peak;
  if (one.bytes) json["GB/s"] = *one.bytes / 1e9;
  if (one.is_float()) json["why_float"] = one.why_float;
  return json;
}

Json named_process(std::string_view what, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", 1}, {"args", {{"name", name}}}};
}

}  // namespace

Json to_json(const NetworkProfile& profile) {
  Json kinds = Json::array(), steps = Json::array();
  for (const KindTotal& total : totals_by_kind(profile)) kinds.push_back(kind_json(total));
  for (const ProfiledStep& step : profile.steps) steps.push_back(step_json(step));
  const MachinePeak& peak = profile.peak;
  return {{"threads", profile.threads},
          {"batch", profile.batch},
          {"runs", profile.runs},
          {"quantized", profile.quantized},
          {"whole_s", profile.whole_s},
          {"timed_s", profile.timed_s},
          {"fastest_s", profile.fastest_s},
          {"steps_s", profile.steps_s},
          {"peak",
           {{"int8_operations_per_second", peak.int8},
            {"int16_operations_per_second", peak.int16},
            {"float_operations_per_second", peak.f32},
            {"copy_bytes_per_second", peak.copy}}},
          {"kinds", std::move(kinds)},
          {"steps", std::move(steps)}};
}

Json trace_json(const NetworkProfile& profile, const std::string& name) {
  Json events = Json::array();
  events.push_back(named_process("process_name", name));
  events.push_back(named_process(
      "thread_name",
      profile.threads == 1 ? "1 thread" : std::to_string(profile.threads) + " threads"));
  double end = 0;
  Json steps = Json::array();
  for (const ProfiledStep& one : profile.steps) {
    for (const StepRun& run : one.step.runs) {
      steps.push_back(event(one.step.node, name_of(one.step.kind), run.begin_s, run.end_s));
      steps.back()["args"] = arguments(one);
      end = std::max(end, run.end_s);
    }
  }
  events.push_back(event("inference", "inference", 0, end));
  for (Json& step : steps) events.push_back(std::move(step));
  return {{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events)}};
}

}  // namespace nibble
