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
  Range range;
  for (const float v : values) {
    range.low = v < range.low ? v : range.low;
    range.high = v > range.high ? v : range.high;
  }
  return range;
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
