// The metrics as judges of a training's epochs.
#include <vector>

#include "base/check.h"
#include "nibble/measure.h"
#include "report/metrics/metric.h"
#include "train/services.h"

namespace nibble {
namespace {

EpochScore score_by(const std::string& metric, const Graph& network, const Graph* teacher,
                    const Dataset& validation, const MeasureOptions& options) {
  std::vector<MeasuredModel> models;
  if (teacher != nullptr) {
    models.push_back({.name = "the teacher", .graph = teacher, .data = &validation});
  }
  models.push_back({.name = "the network", .graph = &network, .data = &validation});
  MeasureOptions asked = options;
  asked.metric = metric;
  // A metric that fits several outputs judges the first of them.
  const Measurement one = measure(models, asked).front().models.back();
  return {one.value, one.interval.low, one.interval.high, one.samples};
}

EpochJudge judge(const TrainOptions& options, const Dataset& validation) {
  const MetricRow& row = find_metric(options.metric);
  const bool compares = row.needs == MetricNeeds::reference;
  if (compares && options.teacher == nullptr) {
    fail(ErrorCode::invalid_argument,
         "--metric {} compares with a float model, and there is none to compare with: choose "
         "another metric, or name the float model with --teacher FLOAT.onnx",
         row.name);
  }
  const MeasureOptions how{.threads = options.threads,
                           .seed = options.seed,
                           .ranks = options.ranks,
                           .progress = options.progress};
  return {
      std::string(row.name), row.larger_is_better,
      [metric = std::string(row.name), teacher = compares ? options.teacher : nullptr, &validation,
       how](const Graph& network) { return score_by(metric, network, teacher, validation, how); }};
}

EpochScore proportion(int64_t successes, int64_t samples) {
  const Interval interval = binomial_interval(successes, samples);
  return {static_cast<double>(successes) / static_cast<double>(samples), interval.low,
          interval.high, samples};
}

const TrainServicesRegistration registration({.judge = judge, .proportion = proportion});

}  // namespace
}  // namespace nibble
