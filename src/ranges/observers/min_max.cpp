// The whole range: nothing is clipped.
#include "ranges/observers/list.h"

namespace nibble {
namespace {

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  const auto [low, high] = whole_range(range);
  return grid_over(low, high, codes, symmetry);
}

}  // namespace

ObserverRow min_max_observer() {
  return {"min-max", "clips nothing", activation_grid, widest_scale};
}

}  // namespace nibble
