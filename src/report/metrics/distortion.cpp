// sqnr, cosine, max_error: how far the numbers of an output are from those of the first model.
// Elements that are equal, or NaN in both, are no error; where only one is finite, the error is
// infinite.
#include <algorithm>
#include <cmath>
#include <limits>

#include "report/metrics/list.h"

namespace nibble {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Sums {
  double signal = 0;   // sum of reference^2
  double other = 0;    // sum of output^2
  double product = 0;  // sum of reference * output
  double error = 0;    // sum of (output - reference)^2
  double largest = 0;  // error
};

bool is_comparable(const MetricInput& input) {
  return input.output.elements() == input.reference->elements() && input.output.elements() > 0;
}

Sums sums_of(const MetricInput& input) {
  const std::vector<float> reference = as_floats(*input.reference);
  const std::vector<float> output = as_floats(input.output);
  Sums sums;
  for (size_t i = 0; i < output.size(); ++i) {
    const double a = reference[i];
    const double b = output[i];
    if (!std::isfinite(a) || !std::isfinite(b)) {
      const bool same = a == b || (std::isnan(a) && std::isnan(b));
      if (!same) sums.error = sums.largest = kInfinity;
      continue;
    }
    sums.signal += a * a;
    sums.other += b * b;
    sums.product += a * b;
    sums.error += (b - a) * (b - a);
    sums.largest = std::max(sums.largest, std::abs(b - a));
  }
  return sums;
}

void judge_sqnr(const MetricInput& input, std::vector<double>& numbers) {
  if (!is_comparable(input)) return;
  const Sums sums = sums_of(input);
  numbers.insert(numbers.end(), {sums.signal, sums.error});
}

Statistic sqnr(const Contributions& contributions) {
  return [&contributions](std::span<const uint32_t> counts) {
    double signal = 0;
    double error = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      signal += counts[i] * contributions.of(i)[0];
      error += counts[i] * contributions.of(i)[1];
    }
    return error == 0 ? kInfinity : 10 * std::log10(signal / error);
  };
}

void judge_cosine(const MetricInput& input, std::vector<double>& numbers) {
  if (!is_comparable(input)) return;
  const Sums sums = sums_of(input);
  numbers.insert(numbers.end(), {sums.product, sums.signal, sums.other});
}

Statistic cosine(const Contributions& contributions) {
  return [&contributions](std::span<const uint32_t> counts) {
    double product = 0, signal = 0, other = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] == 0) continue;
      const std::span<const double> sample = contributions.of(i);
      product += counts[i] * sample[0];
      signal += counts[i] * sample[1];
      other += counts[i] * sample[2];
    }
    if (signal == 0 || other == 0) return signal == other ? 1.0 : 0.0;
    return std::clamp(product / std::sqrt(signal * other), -1.0, 1.0);
  };
}

void judge_max_error(const MetricInput& input, std::vector<double>& numbers) {
  if (is_comparable(input)) numbers.push_back(sums_of(input).largest);
}

}  // namespace

MetricRow sqnr_metric() {
  return {.name = "sqnr",
          .summary = "signal to error ratio against the first model, 10 log10(sum x^2 / sum e^2)",
          .needs = MetricNeeds::reference,
          .unit = MetricUnit::decibels,
          .judge = judge_sqnr,
          .statistic = sqnr};
}

MetricRow cosine_metric() {
  return {.name = "cosine",
          .summary = "cosine of the angle between the output and the first model's",
          .needs = MetricNeeds::reference,
          .unit = MetricUnit::plain,
          .judge = judge_cosine,
          .statistic = cosine};
}

MetricRow max_error_metric() {
  return {.name = "max_error",
          .summary = "largest error of an element against the first model, mean over samples",
          .needs = MetricNeeds::reference,
          .larger_is_better = false,
          .unit = MetricUnit::plain,
          .judge = judge_max_error};
}

}  // namespace nibble
