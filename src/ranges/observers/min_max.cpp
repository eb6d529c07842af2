// The whole range: nothing is clipped.
#include <algorithm>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  return grid_over(std::min(0.0, static_cast<double>(range.total.minimum)),
                   std::max(0.0, static_cast<double>(range.total.maximum)), codes, symmetry);
}

float scale_of_weights(std::span<const float>, const BitCodes&, float widest, double) {
  return widest;
}

}  // namespace

ObserverRow min_max_observer() {
  return {"min-max", "clips nothing", activation_grid, scale_of_weights};
}

}  // namespace nibble
