// Clips a fixed share of the values on each side.
#include <algorithm>
#include <cmath>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

// Clipped on each side. Rounded: 100 - 99.99 is not quite 0.01.
double tail_share(double percentile) { return std::round((100 - percentile) * 1e8) / 1e10; }

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry,
                     double percentile) {
  const double tail = tail_share(percentile);
  const auto [least, most] = whole_range(range);
  const double low = std::max(least, std::min(0.0, range.histogram.quantile(tail)));
  const double high = std::min(most, std::max(0.0, range.histogram.quantile(1 - tail)));
  return grid_over(low, high, codes, symmetry);
}

float scale_of_weights(std::span<const float> weights, const BitCodes& codes, float widest,
                       double percentile) {
  const double tail = tail_share(percentile);
  Histogram histogram;
  histogram.add(weights);
  const double low = std::min(0.0, histogram.quantile(tail));
  const double high = std::max(0.0, histogram.quantile(1 - tail));
  const auto scale = static_cast<float>(std::max(high / codes.qmax, low / codes.qmin));
  return scale >= kSmallestScale ? std::min(scale, widest) : widest;
}

}  // namespace

ObserverRow percentile_observer() {
  return {"percentile", "clips a share of the values on each side", activation_grid,
          scale_of_weights};
}

}  // namespace nibble
