// Smallest and largest value of a run of floats, and whether all are finite.
#pragma once

#include <algorithm>
#include <span>

namespace nibble {

struct Extremes {
  float minimum = 0;
  float maximum = 0;
  bool finite = true;
};

/// `values` is not empty. With NaN among them, only `finite` is meaningful.
inline Extremes extremes(std::span<const float> values) {
  // Four lanes: independent chains that the compiler keeps in one vector register.
  float low[4], high[4], poison[4] = {0, 0, 0, 0};
  std::fill_n(low, 4, values[0]);
  std::fill_n(high, 4, values[0]);
  size_t i = 0;
  for (; i + 4 <= values.size(); i += 4) {
    for (size_t lane = 0; lane < 4; ++lane) {
      const float value = values[i + lane];
      low[lane] = value < low[lane] ? value : low[lane];
      high[lane] = value > high[lane] ? value : high[lane];
      poison[lane] += value * 0.0F;  // NaN from NaN and from infinity
    }
  }
  for (; i < values.size(); ++i) {
    low[0] = std::min(low[0], values[i]);
    high[0] = std::max(high[0], values[i]);
    poison[0] += values[i] * 0.0F;
  }
  const float poisoned = poison[0] + poison[1] + poison[2] + poison[3];
  return {*std::min_element(low, low + 4), *std::max_element(high, high + 4), poisoned == poisoned};
}

}  // namespace nibble
