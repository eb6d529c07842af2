// top1, top5: the share of samples whose label is the class, or among the classes, of largest
// score.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "report/metrics/list.h"

namespace nibble {
namespace {

void judge_top1(const MetricInput& input, std::vector<double>& numbers) {
  numbers.push_back(predicted_class(input.reading, input.output) == input.label ? 1 : 0);
}

// Of equal scores, those of lower classes come first, as for top1.
void judge_top5(const MetricInput& input, std::vector<double>& numbers) {
  constexpr int64_t kPlaces = 5;
  if (input.reading.classes <= kPlaces) {
    fail(ErrorCode::invalid_argument, "top5 is always right with {} classes ('{}'): measure top1",
         input.reading.classes, input.reading.name);
  }
  const bool sound = predicted_class(input.reading, input.output) >= 0;
  if (!sound || input.label >= input.reading.classes) {
    numbers.push_back(0);
    return;
  }
  const std::vector<float> scores = as_floats(input.output);
  const auto label = static_cast<size_t>(input.label);
  int64_t before = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] > scores[label] || (scores[i] == scores[label] && i < label)) ++before;
  }
  numbers.push_back(before < kPlaces ? 1 : 0);
}

}  // namespace

MetricRow top1_metric() {
  return {.name = "top1",
          .summary = "share of samples whose label has the largest score",
          .reads_classes = true,
          .cuts = true,
          .judge = judge_top1};
}

MetricRow top5_metric() {
  return {.name = "top5",
          .summary = "share of samples whose label has one of the five largest scores",
          .reads_classes = true,
          .scores_only = true,
          .judge = judge_top5};
}

}  // namespace nibble
