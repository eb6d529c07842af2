// Clips a fixed share of the values on each side.
#include <algorithm>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

constexpr double kTailShare = 0.0001;  // clipped on each side

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry) {
  const double low = std::max(std::min(0.0, static_cast<double>(range.total.minimum)),
                              std::min(0.0, range.histogram.quantile(kTailShare)));
  const double high = std::min(std::max(0.0, static_cast<double>(range.total.maximum)),
                               std::max(0.0, range.histogram.quantile(1 - kTailShare)));
  return grid_over(low, high, codes, symmetry);
}

float scale_of_weights(std::span<const float> weights, const BitCodes& codes, float widest) {
  Histogram histogram;
  histogram.add(weights);
  const double low = std::min(0.0, histogram.quantile(kTailShare));
  const double high = std::max(0.0, histogram.quantile(1 - kTailShare));
  const auto scale = static_cast<float>(std::max(high / codes.qmax, low / codes.qmin));
  return scale >= kSmallestScale ? std::min(scale, widest) : widest;
}

}  // namespace

ObserverRow percentile_observer() {
  return {"percentile", "clips 0.01 % of the values on each side", activation_grid,
          scale_of_weights};
}

}  // namespace nibble
