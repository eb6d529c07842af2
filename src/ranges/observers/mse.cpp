// The clipping that minimises the mean squared error.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

constexpr double kShrink = 0.96;  // between one candidate of a clipping search and the next
constexpr int kShrinks = 60;      // down to 9 % of the range

// The range of least error: first both ends shrink together, which outliers call for, then one end
// at a time moves about the best until neither gains.
Grid search_range(const Moments& moments, const Histogram& histogram, const BitCodes& codes,
                  double low, double high) {
  double best_low = low, best_high = high;
  Grid best = grid_over(low, high, codes, Symmetry::asymmetric);
  double least = rounding_error(moments, histogram, best, codes);
  const auto attempt = [&](double bottom, double top) {
    const Grid grid = grid_over(bottom, top, codes, Symmetry::asymmetric);
    const double error = rounding_error(moments, histogram, grid, codes, least);
    if (error >= least) return false;
    least = error;
    best = grid;
    best_low = bottom;
    best_high = top;
    return true;
  };
  double ratio = kShrink;
  for (int step = 0; step < kShrinks; ++step, ratio *= kShrink) attempt(low * ratio, high * ratio);
  for (int round = 0; round < 4; ++round) {
    bool gained = false;
    const double from_low = best_low, from_high = best_high;
    for (double move = std::pow(kShrink, 12); move < 1.7; move /= std::sqrt(kShrink)) {
      if (high > 0) gained |= attempt(best_low, std::min(high, from_high * move));
    }
    for (double move = std::pow(kShrink, 12); move < 1.7; move /= std::sqrt(kShrink)) {
      if (low < 0) gained |= attempt(std::max(low, from_low * move), best_high);
    }
    if (!gained) break;
  }
  return best;
}

// The same with zero point 0 and a range of [-reach, reach].
Grid search_reach(const Moments& moments, const Histogram& histogram, const BitCodes& codes,
                  double reach) {
  Grid best;
  double least = std::numeric_limits<double>::infinity();
  const auto attempt = [&](double candidate) {
    const Grid grid = grid_over(0, candidate, codes, Symmetry::symmetric);
    const double error = rounding_error(moments, histogram, grid, codes, least);
    if (error >= least) return false;
    least = error;
    best = grid;
    return true;
  };
  double coarse = reach, ratio = 1;
  for (int step = 0; step <= kShrinks; ++step, ratio *= kShrink) {
    if (attempt(reach * ratio)) coarse = reach * ratio;
  }
  for (double move = 0.9625; move < 1.04; move += 0.0025) attempt(std::min(reach, coarse * move));
  return best;
}

// With the codes fixed the best scale is a least squares fit; with the scale fixed the best codes
// are the nearest ones. Alternating never makes the error larger.
float refine_scale(std::span<const float> weights, float scale, const BitCodes& codes) {
  double least = squared_error(weights, scale, codes);
  for (int round = 0; round < 8; ++round) {
    double product = 0, squares = 0;
    for (const float weight : weights) {
      const double code = round_code(weight / scale, static_cast<float>(codes.qmin),
                                     static_cast<float>(codes.qmax));
      product += code * weight;
      squares += code * code;
    }
    if (squares == 0) break;
    const auto candidate = static_cast<float>(product / squares);
    if (!(candidate >= kSmallestScale)) break;
    const double error = squared_error(weights, candidate, codes);
    if (error >= least) break;
    least = error;
    scale = candidate;
  }
  return scale;
}

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  const auto [low, high] = whole_range(range);
  if (symmetry == Symmetry::symmetric) {
    return search_reach(range.total, range.histogram, codes, std::max(-low, high));
  }
  return search_range(range.total, range.histogram, codes, low, high);
}

float scale_of_weights(std::span<const float> weights, const BitCodes& codes, float widest,
                       double) {
  float best = widest;
  double least = squared_error(weights, widest, codes);
  const auto attempt = [&](double scale) {
    const auto candidate = static_cast<float>(scale);
    const double error = squared_error(weights, candidate, codes);
    if (error >= least) return;
    least = error;
    best = candidate;
  };
  for (double ratio = kShrink; ratio > 0.1; ratio *= kShrink) attempt(widest * ratio);
  const double coarse = best;
  for (double move = 0.9625; move < 1.04; move += 0.0025) {
    attempt(std::min<double>(widest, coarse * move));
  }
  return refine_scale(weights, best, codes);
}

}  // namespace

ObserverRow mse_observer() {
  return {"mse", "clips where the mean squared error is least", activation_grid, scale_of_weights};
}

}  // namespace nibble
