// The mean of what the samples reach. Other tools follow it with a moving average over batches,
// which depends on their order and size; the mean over samples is what that aims at.
#include <algorithm>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  const SampleExtremes& mean = range.sample_extremes;
  const bool known = mean.samples > 0;
  const double low = std::min(0.0, known ? mean.minimum : range.total.minimum);
  const double high = std::max(0.0, known ? mean.maximum : range.total.maximum);
  return grid_over(low, high, codes, symmetry);
}

float scale_of_weights(std::span<const float>, const BitCodes&, float widest, double) {
  return widest;
}

}  // namespace

ObserverRow moving_average_observer() {
  return {"moving-average", "the mean of what each sample reaches; as min-max for weights",
          activation_grid, scale_of_weights};
}

}  // namespace nibble
