// mse, mae: how far the output is from the target, mean over the elements of a sample, then over
// samples.
#include <cmath>

#include "report/metrics/list.h"

namespace nibble {
namespace {

template <typename Cost>
void judge(const MetricInput& input, std::vector<double>& numbers, const Cost& cost) {
  if (input.output.elements() != input.target->elements() || input.output.elements() == 0) return;
  const std::vector<float> output = as_floats(input.output);
  const std::vector<float> target = as_floats(*input.target);
  double sum = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    sum += cost(static_cast<double>(output[i]) - static_cast<double>(target[i]));
  }
  numbers.push_back(sum / static_cast<double>(output.size()));
}

void judge_square(const MetricInput& input, std::vector<double>& numbers) {
  judge(input, numbers, [](double error) { return error * error; });
}
void judge_absolute(const MetricInput& input, std::vector<double>& numbers) {
  judge(input, numbers, [](double error) { return std::abs(error); });
}

}  // namespace

MetricRow mse_metric() {
  return {.name = "mse",
          .summary = "mean squared error against the targets",
          .needs = MetricNeeds::targets,
          .larger_is_better = false,
          .unit = MetricUnit::plain,
          .judge = judge_square};
}

MetricRow mae_metric() {
  return {.name = "mae",
          .summary = "mean absolute error against the targets",
          .needs = MetricNeeds::targets,
          .larger_is_better = false,
          .unit = MetricUnit::plain,
          .judge = judge_absolute};
}

}  // namespace nibble
