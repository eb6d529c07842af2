#include "cli/metric_output.h"

#include <algorithm>
#include <cmath>

#include "cli/output.h"
#include "report/format.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

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

}  // namespace nibble::cli
