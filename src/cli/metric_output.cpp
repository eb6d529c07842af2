#include "cli/metric_output.h"

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

std::string_view method_name(IntervalMethod method) {
  switch (method) {
    case IntervalMethod::none:
      return "none";
    case IntervalMethod::exact:
      return "exact";
    case IntervalMethod::bootstrap:
      return "bootstrap-bca";
    case IntervalMethod::bias_corrected:
      return "bootstrap-bc";
  }
  return "";
}

std::string_view unit_name(MetricUnit unit) {
  if (unit == MetricUnit::share) return "share";
  return unit == MetricUnit::decibels ? "dB" : "";
}

Json interval_json(const Interval& interval) { return {interval.low, interval.high}; }

Json difference_json(const MeasuredDifference& difference, const std::string& base) {
  Json json = {{"from", base},
               {"value", difference.value},
               {"interval_95", interval_json(difference.interval)},
               {"interval_method", method_name(difference.method)}};
  if (difference.p_value) json["p_value"] = *difference.p_value;
  return json;
}

bool uses(std::span<const MetricReport> reports, IntervalMethod method) {
  return std::ranges::any_of(reports, [&](const MetricReport& report) {
    return std::ranges::any_of(
               report.models,
               [&](const Measurement& one) { return one.samples > 0 && one.method == method; }) ||
           std::ranges::any_of(report.differences, [&](const MeasuredDifference& difference) {
             return difference.method == method && method != IntervalMethod::none;
           });
  });
}

// A bootstrap that finds the same value in every resample knows nothing of others.
bool is_degenerate(const MetricReport& report, const Measurement& one) {
  return one.method == IntervalMethod::bootstrap && one.interval.low == one.interval.high &&
         std::isfinite(one.value) && report.unit == MetricUnit::share;
}

void print_methods(std::span<const MetricReport> reports, const MeasureOptions& options) {
  if (uses(reports, IntervalMethod::exact)) {
    tell("Intervals of shares of samples are exact (Clopper-Pearson; Tango for differences).\n");
  }
  if (uses(reports, IntervalMethod::bootstrap)) {
    tell("{} intervals draw the samples anew {} times (BCa bootstrap, seed {}).\n",
         uses(reports, IntervalMethod::exact) ? "Other" : "The", options.resamples, options.seed);
  }
  if (uses(reports, IntervalMethod::bias_corrected)) {
    tell("The intervals draw the samples anew {} times (bias-corrected bootstrap, seed {}).\n",
         options.resamples, options.seed);
  }
  const bool degenerate = std::ranges::any_of(reports, [](const MetricReport& report) {
    return std::ranges::any_of(report.models,
                               [&](const auto& one) { return is_degenerate(report, one); });
  });
  if (degenerate) {
    tell(
        "Where both ends of an interval are equal, no resample differs: it says nothing of samples "
        "not seen.\n");
  }
}

}  // namespace

void print_reports(const std::vector<std::string>& models, std::span<const MetricReport> reports,
                   const MeasureOptions& options) {
  const size_t base = reports.empty() ? 0 : reports[0].base;
  const bool paired = models.size() > base + 1;
  const bool outputs = std::ranges::any_of(
      reports, [](const MetricReport& report) { return !report.output.empty(); });
  std::vector<Table::Column> columns = {{"model"}};
  if (outputs) columns.push_back({"output"});
  columns.push_back({"metric"});
  columns.push_back({"value [95 %]", Align::right});
  if (paired) columns.push_back({"difference to " + models[base], Align::right});
  Table table(std::move(columns));
  for (size_t m = base; m < models.size(); ++m) {
    for (const MetricReport& report : reports) {
      std::vector<std::string> cells = {models[m]};
      if (outputs) cells.push_back(report.output);
      cells.push_back(report.metric);
      cells.push_back(format_measurement(report.models[m], report.unit));
      if (paired && m > base)
        cells.push_back(format_difference(report.differences[m], report.unit));
      table.add_row(std::move(cells));
    }
  }
  tell("{}", table.to_string(output_columns()));
  if (base > 0) tell("Measured against {}.\n", models[0]);
  print_methods(reports, options);
  std::vector<std::string> told;
  for (const MetricReport& report : reports) {
    for (size_t m = base; m < models.size(); ++m) {
      for (const std::string& note : report.models[m].notes) {
        const std::string line = fmt::format("{}: {}.\n", models[m], note);
        if (std::ranges::find(told, line) != told.end()) continue;
        tell("{}", line);
        told.push_back(line);
      }
    }
  }
}

Json reports_json(const std::vector<std::string>& models, std::span<const MetricReport> reports) {
  Json all = Json::array();
  for (const MetricReport& report : reports) {
    Json measured = Json::array();
    for (size_t m = report.base; m < models.size(); ++m) {
      const Measurement& one = report.models[m];
      Json entry = {{"model", models[m]},
                    {"value", one.value},
                    {"samples", one.samples},
                    {"left_out", one.left_out},
                    {"interval_95", interval_json(one.interval)},
                    {"interval_method", method_name(one.method)},
                    {"notes", one.notes}};
      if (m > report.base) {
        entry["difference"] = difference_json(report.differences[m], models[report.base]);
      }
      measured.push_back(std::move(entry));
    }
    Json entry = {{"metric", report.metric}, {"output", report.output}};
    if (report.output.empty()) entry.erase("output");
    entry["unit"] = unit_name(report.unit);
    if (report.metric != "score") entry["larger_is_better"] = report.larger_is_better;
    if (report.base > 0) entry["against"] = models[0];
    entry["models"] = std::move(measured);
    all.push_back(std::move(entry));
  }
  return all;
}

}  // namespace nibble::cli
