// Mean and variance of a contiguous row, in double whatever the row's type: the difference of large
// sums is what normalizations live on.
#pragma once

#include <array>
#include <cstdint>

namespace nibble {

/// Sum of f(x[i]). Eight partial sums vectorize, and add up in the same order on every machine.
template <typename T, typename F>
double row_sum(const T* x, int64_t count, const F& f) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[static_cast<size_t>(lane)] += f(static_cast<double>(x[i + lane]));
    }
  }
  double sum = 0;
  for (; i < count; ++i) sum += f(static_cast<double>(x[i]));
  for (double lane : lanes) sum += lane;
  return sum;
}

struct RowStats {
  double mean = 0;
  double variance = 0;  // of the population: divided by the count
};

template <typename T>
RowStats row_stats(const T* x, int64_t count) {
  const double mean = row_sum(x, count, [](double v) { return v; }) / static_cast<double>(count);
  const double squares = row_sum(x, count, [mean](double v) { return (v - mean) * (v - mean); });
  return {.mean = mean, .variance = squares / static_cast<double>(count)};
}

}  // namespace nibble
