// What each observer would make of a range.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

struct ObservedGrid {
  std::string_view observer;
  float scale = 1;
  int32_t zero_point = 0;
  double low = 0;  // the reals that the least and the largest code stand for
  double high = 0;
};

/// Per tensor, for a range of an activation that is usable; none for others: scales of weights need
/// the weights. `bits` in [2, 8].
std::vector<ObservedGrid> observed_grids(const TensorRange& range, int bits, bool symmetric);

}  // namespace nibble
#pragma GCC visibility pop
