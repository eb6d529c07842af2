// The mean of what the samples reach. Other tools follow it with a moving average over batches,
// which depends on their order and size; the mean over samples is what that aims at.
#include <algorithm>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  const SampleExtremes& mean = range.sample_extremes;
  auto [low, high] = whole_range(range);
  if (mean.samples > 0) {
    low = std::min(0.0, mean.minimum);
    high = std::max(0.0, mean.maximum);
  }
  return grid_over(low, high, codes, symmetry);
}

}  // namespace

ObserverRow moving_average_observer() {
  return {"moving-average", "the mean of what each sample reaches; as min-max for weights",
          activation_grid, widest_scale};
}

}  // namespace nibble
