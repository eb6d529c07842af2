// What is to be measured: which metrics, on which outputs of the models.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nibble/measure.h"
#include "report/class_reading.h"
#include "report/metrics/metric.h"

namespace nibble {

/// One metric on one output, and what was found so far. Vectors by model.
struct MetricTask {
  const MetricRow* row = nullptr;
  size_t base = 0;          // the first model that is judged: 1 where model 0 is the reference
  size_t target_field = 0;  // where the metric needs targets
  std::vector<ClassReading> readings;
  std::vector<AnswerWatch> watches;
  std::vector<Contributions> contributions;
  std::vector<int64_t> kept;  // the samples judged
  int64_t left_out = 0;
};

/// What the options ask for; `answers` are the outputs of each model for the first sample. Throws
/// as measure() does.
std::vector<MetricTask> plan_tasks(std::span<const MeasuredModel> models,
                                   std::span<const std::span<const Tensor>> answers,
                                   const MeasureOptions& options);

/// Throws Error{invalid_argument}: a label beyond the classes that the model tells apart.
[[noreturn]] void fail_label(const Dataset& data, int64_t sample, int64_t label,
                             const ClassReading& reading);

/// Samples that follow on one another, as groups to be drawn together: whole sequences, or, where
/// there are fewer than twenty, runs of a twentieth of the samples. By entry of `kept`; says so in
/// `notes`.
std::vector<int64_t> runs_of(const Dataset& data, std::span<const int64_t> kept,
                             std::vector<std::string>& notes);

}  // namespace nibble
