#include "ops/quantization/dynamic_grid.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace nibble {
namespace {

constexpr int64_t kParts = 16;
constexpr int64_t kLeastPart = 32768;  // values worth a task

struct Range {
  float low = 0, high = 0;
};

Range range_of(std::span<const float> values) {
  constexpr size_t kLanes = 32;  // of their own, so that the compiler need not reorder anything
  std::array<float, kLanes> low{}, high{};
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float v = values[i + lane];
      low[lane] = v < low[lane] ? v : low[lane];
      high[lane] = v > high[lane] ? v : high[lane];
    }
  }
  for (; i < values.size(); ++i) {
    low[0] = values[i] < low[0] ? values[i] : low[0];
    high[0] = values[i] > high[0] ? values[i] : high[0];
  }
  return {*std::ranges::min_element(low), *std::ranges::max_element(high)};
}

}  // namespace

RunTimeGrid dynamic_grid(std::span<const float> values, ThreadPool& pool) {
  const auto count = static_cast<int64_t>(values.size());
  const int64_t parts = std::clamp<int64_t>(count / kLeastPart, 1, kParts);
  std::array<Range, kParts> ranges;
  pool.parallel_for(parts, [&](int64_t part) {
    const auto begin = static_cast<size_t>(count * part / parts);
    const auto end = static_cast<size_t>(count * (part + 1) / parts);
    ranges[static_cast<size_t>(part)] = range_of(values.subspan(begin, end - begin));
  });
  Range all;
  for (int64_t part = 0; part < parts; ++part) {
    all.low = std::min(all.low, ranges[static_cast<size_t>(part)].low);
    all.high = std::max(all.high, ranges[static_cast<size_t>(part)].high);
  }
  const float scale = all.high > all.low ? (all.high - all.low) / 255.0F : 1.0F;
  const float zero = std::clamp(std::nearbyint(-all.low / scale), 0.0F, 255.0F);
  return {scale, static_cast<int32_t>(zero)};
}

}  // namespace nibble
