// Extents of which some are not known.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

namespace nibble {

/// As many extents, equal wherever both are known (not negative).
inline bool agree(std::span<const int64_t> a, std::span<const int64_t> b) {
  return std::ranges::equal(a, b, [](int64_t x, int64_t y) { return x < 0 || y < 0 || x == y; });
}

}  // namespace nibble
