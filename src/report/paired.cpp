#include "report/paired.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

bool is_proportion(const MetricRow& row, const Contributions& contributions,
                   const ResampleOptions& options) {
  if (row.statistic != nullptr || row.unit != MetricUnit::share || !options.groups.empty()) {
    return false;
  }
  for (size_t i = 0; i < contributions.samples(); ++i) {
    const double value = contributions.of(i)[0];
    if (value != 0 && value != 1) return false;
  }
  return true;
}

std::vector<uint32_t> once_each(const Contributions& contributions) {
  return std::vector<uint32_t>(contributions.samples(), 1);
}

IntervalMethod method_of(const Interval& interval) {
  return std::isinf(interval.low) && std::isinf(interval.high) && interval.low < interval.high
             ? IntervalMethod::none
             : IntervalMethod::bootstrap;
}

}  // namespace

double difference_of(double first, double second) { return first == second ? 0 : second - first; }

Measurement measured(const MetricRow& row, const Contributions& contributions,
                     const ResampleOptions& options) {
  Measurement result{.samples = static_cast<int64_t>(contributions.samples())};
  if (row.statistic == nullptr) {
    for (size_t i = 0; i < contributions.samples(); ++i) {
      result.per_sample.push_back(contributions.of(i)[0]);
    }
  }
  const Statistic statistic = statistic_of(row, contributions);
  result.value = statistic(once_each(contributions));
  if (is_proportion(row, contributions, options)) {
    const auto right = std::ranges::count(result.per_sample, 1.0);
    result.interval = binomial_interval(right, result.samples, options.confidence);
    result.method = IntervalMethod::exact;
    return result;
  }
  result.interval = bootstrap_interval(result.samples, statistic, options);
  result.method = method_of(result.interval);
  return result;
}

MeasuredDifference measured_difference(const MetricRow& row, const Contributions& first,
                                       const Contributions& second,
                                       const ResampleOptions& options) {
  const Statistic of_first = statistic_of(row, first);
  const Statistic of_second = statistic_of(row, second);
  const auto difference = [&](std::span<const uint32_t> counts) {
    return difference_of(of_first(counts), of_second(counts));
  };
  const auto samples = static_cast<int64_t>(first.samples());
  MeasuredDifference result{.value = difference(once_each(first))};
  if (is_proportion(row, first, options) && is_proportion(row, second, options)) {
    int64_t only_first = 0;
    int64_t only_second = 0;
    for (size_t i = 0; i < first.samples(); ++i) {
      if (first.of(i)[0] > second.of(i)[0]) ++only_first;
      if (first.of(i)[0] < second.of(i)[0]) ++only_second;
    }
    result.interval =
        paired_difference_interval(only_first, only_second, samples, options.confidence);
    result.p_value = mcnemar_exact(only_first, only_second);
    result.method = IntervalMethod::exact;
    return result;
  }
  result.interval = bootstrap_interval(samples, difference, options);
  result.method = method_of(result.interval);
  return result;
}

}  // namespace nibble
