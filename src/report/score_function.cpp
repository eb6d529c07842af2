#include "report/score_function.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "base/check.h"
#include "report/measure_plan.h"
#include "report/output_stream.h"
#include "report/paired.h"

namespace nibble {
namespace {

double score(const ScoreFunction& function, std::span<const Tensor> outputs,
             const OutputStream& stream, const Dataset& data, int64_t sample) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!outputs[i].empty()) continue;
    fail(ErrorCode::invalid_model, "the output '{}' cannot be told apart by samples",
         stream.output_name(i));
  }
  const double value = function.of(outputs, data, sample);
  if (!std::isfinite(value)) {
    fail(ErrorCode::invalid_data, "{} is {} for sample {}", function.name, value, sample);
  }
  return value;
}

}  // namespace

MetricReport measure_by_function(std::span<const MeasuredModel> models,
                                 const ScoreFunction& function, const MeasureOptions& options) {
  if (models.empty()) fail(ErrorCode::invalid_argument, "there is no model to measure");
  const Dataset& data = *models[0].data;
  std::vector<std::unique_ptr<OutputStream>> streams;
  bool carries = false;
  for (const MeasuredModel& model : models) {
    with_context(
        [&] { return "evaluating " + model.name; },
        [&] {
          streams.push_back(std::make_unique<OutputStream>(
              *model.graph, *model.data,
              SampleRunnerOptions{.batch = options.batch,
                                  .arithmetic = model.arithmetic.value_or(options.arithmetic),
                                  .threads = options.threads}));
        });
    carries = carries || streams.back()->carries();
  }
  std::vector<Contributions> numbers(models.size());
  for (int64_t i = 0; i < data.size(); ++i) {
    report_progress(options.progress, "evaluating", i, data.size());
    for (size_t m = 0; m < models.size(); ++m) {
      with_context([&] { return "evaluating " + models[m].name; },
                   [&] {
                     const double value =
                         score(function, streams[m]->next(), *streams[m], *models[m].data, i);
                     numbers[m].add(std::span(&value, 1));
                   });
    }
  }
  std::vector<std::string> of_groups;
  ResampleOptions resample{.confidence = options.confidence,
                           .resamples = options.resamples,
                           .seed = options.seed,
                           .threads = options.threads};
  std::vector<int64_t> all(static_cast<size_t>(data.size()));
  std::iota(all.begin(), all.end(), 0);
  if (carries) resample.groups = runs_of(data, all, of_groups);
  static const MetricRow row{.name = "score", .unit = MetricUnit::plain};
  MetricReport report{.metric = function.name,
                      .unit = MetricUnit::plain,
                      .models = std::vector<Measurement>(models.size()),
                      .differences = std::vector<MeasuredDifference>(models.size())};
  for (size_t m = 0; m < models.size(); ++m) {
    report.models[m] = measured(row, numbers[m], resample);
    report.models[m].notes = streams[m]->notes();
    std::ranges::copy(of_groups, std::back_inserter(report.models[m].notes));
    if (m > 0) report.differences[m] = measured_difference(row, numbers[0], numbers[m], resample);
  }
  report_progress(options.progress, "evaluating", data.size(), data.size());
  return report;
}

}  // namespace nibble
