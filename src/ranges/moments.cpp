// Streaming mean and variance: each run of values in one pass around its first value, runs merged
// as in Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
// variances" (1979).
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ranges/moments_of.h"

namespace nibble {

Moments moments_of(const Survey& found, float first, int64_t count) {
  const auto n = static_cast<double>(count);
  return {.count = count,
          .minimum = found.minimum,
          .maximum = found.maximum,
          .mean = static_cast<double>(first) + found.sum / n,
          .m2 = std::max(0.0, found.squares - found.sum * found.sum / n),
          .zeros = found.zeros};
}

void Moments::add(std::span<const float> values) {
  if (values.empty()) return;
  const Survey found = survey(values);
  if (!found.finite) {
    const auto at = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
    fail(ErrorCode::invalid_data, "element {} is {}", at - values.begin(),
         std::isnan(*at) ? "NaN" : "infinite");
  }
  merge(moments_of(found, values[0], std::ssize(values)));
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
