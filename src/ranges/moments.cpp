// Streaming mean and variance: each run of values in one pass around its first value, runs merged
// as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
// variances" (1979).
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "nibble/ranges.h"
#include "ranges/extremes.h"

namespace nibble {

void Moments::add(std::span<const float> values) {
  if (values.empty()) return;
  const Extremes range = extremes(values);
  if (!range.finite) {
    const auto at = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    fail(ErrorCode::invalid_data, "element {} is {}", at - values.begin(),
         std::isnan(*at) ? "NaN" : "infinite");
  }
  // Shifted by a value of the run, the sums lose nothing to cancellation; a float squared is exact
  // in double.
  constexpr size_t kLanes = 4;
  const double shift = values[0];
  std::array<double, kLanes> sum{}, squares{};
  std::array<int32_t, kLanes> zero{};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      const double shifted = static_cast<double>(value) - shift;
      sum[lane] += shifted;
      squares[lane] += shifted * shifted;
      zero[lane] += value == 0.0F ? 1 : 0;
    }
  }
  for (; i < values.size(); ++i) {
    const double shifted = static_cast<double>(values[i]) - shift;
    sum[0] += shifted;
    squares[0] += shifted * shifted;
    zero[0] += values[i] == 0.0F ? 1 : 0;
  }
  const double total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  const auto n = static_cast<double>(values.size());
  merge({.count = static_cast<int64_t>(values.size()),
         .minimum = range.minimum,
         .maximum = range.maximum,
         .mean = shift + total / n,
         .m2 = std::max(0.0,
                        (squares[0] + squares[1]) + (squares[2] + squares[3]) - total * total / n),
         .zeros = int64_t{zero[0]} + zero[1] + zero[2] + zero[3]});
}

void Moments::merge(const Moments& other) {
  if (other.count == 0) return;
  if (count == 0) {
    *this = other;
    return;
  }
  const auto mine = static_cast<double>(count);
  const auto theirs = static_cast<double>(other.count);
  const double delta = other.mean - mean;
  mean += delta * theirs / (mine + theirs);
  m2 += other.m2 + delta * delta * mine * theirs / (mine + theirs);
  count += other.count;
  zeros += other.zeros;
  minimum = std::min(minimum, other.minimum);
  maximum = std::max(maximum, other.maximum);
}

double Moments::stddev() const {
  return count == 0 ? 0 : std::sqrt(m2 / static_cast<double>(count));
}

double Moments::power() const {
  return count == 0 ? 0 : mean * mean + m2 / static_cast<double>(count);
}

}  // namespace nibble
