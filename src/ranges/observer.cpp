#include "ranges/observer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace nibble {
namespace {

constexpr double kTailShare = 0.0001;       // clipped by the percentile observer on each side
constexpr double kSmallestScale = 0x1p-60;  // a product of two scales is still a normal float
constexpr double kShrink = 0.96;  // between one candidate of a clipping search and the next
constexpr int kShrinks = 60;      // down to 9 % of the range

struct Affine {
  float scale = 1;
  int32_t zero_point = 0;
};

// clamp(round_half_to_even(x), low, high) for integers low and high within 2^22: adding 1.5 * 2^23
// leaves no bits below the point.
float round_code(float x, float low, float high) {
  return (std::clamp(x, low, high) + 0x1.8p23F) - 0x1.8p23F;
}

// The grid for [low, high], which includes zero.
Affine affine_grid(double low, double high, const CodeRange& codes) {
  const double scale = (high - low) / (static_cast<double>(codes.qmax) - codes.qmin);
  if (!(scale >= kSmallestScale)) return {1.0F, codes.qmin};
  const auto rounded = static_cast<float>(scale);
  const double zero = codes.qmin - low / static_cast<double>(rounded);
  return {rounded,
          static_cast<int32_t>(std::clamp<double>(std::nearbyint(zero), codes.qmin, codes.qmax))};
}

Affine symmetric_grid(double reach, const CodeRange& codes) {
  const double scale = reach / codes.qmax;
  return {scale >= kSmallestScale ? static_cast<float>(scale) : 1.0F, 0};
}

// Integral of the squared rounding error from 0 to x, on the grid of step 1 with codes in
// [low, high]: whole cells contribute 1/12, and d^3/3 continues beyond the last code as clipping.
double error_integral(double x, double low, double high) {
  const double code = std::clamp(std::nearbyint(x), low, high);
  const double d = x - code;
  return code / 12 + d * d * d / 3;
}

double point_error(double x, double low, double high) {
  const double d = x - std::clamp(std::nearbyint(x), low, high);
  return d * d;
}

// The range of least error: first both ends shrink together, which outliers call for, then one end
// at a time moves about the best until neither gains.
Affine search_range(const Moments& moments, const Histogram& histogram, const CodeRange& codes,
                    double low, double high) {
  double best_low = low, best_high = high;
  Affine best = affine_grid(low, high, codes);
  double least = rounding_error(moments, histogram, best.scale, best.zero_point, codes);
  const auto attempt = [&](double bottom, double top) {
    const Affine grid = affine_grid(bottom, top, codes);
    const double error = rounding_error(moments, histogram, grid.scale, grid.zero_point, codes);
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
Affine search_reach(const Moments& moments, const Histogram& histogram, const CodeRange& codes,
                    double reach) {
  Affine best;
  double least = std::numeric_limits<double>::infinity();
  const auto attempt = [&](double candidate) {
    const Affine grid = symmetric_grid(candidate, codes);
    const double error = rounding_error(moments, histogram, grid.scale, grid.zero_point, codes);
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

float min_max_scale(std::span<const float> weights, const CodeRange& codes) {
  double scale = 0;
  for (const float weight : weights) {
    const double w = weight;
    scale = std::max(scale, w > 0 ? w / codes.qmax : w / codes.qmin);
  }
  return static_cast<float>(scale);
}

// With the codes fixed the best scale is a least squares fit; with the scale fixed the best codes
// are the nearest ones. Alternating never makes the error larger.
float refine_scale(std::span<const float> weights, float scale, const CodeRange& codes) {
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

float percentile_scale(std::span<const float> weights, const CodeRange& codes) {
  Histogram histogram;
  histogram.add(weights);
  const double low = std::min(0.0, histogram.quantile(kTailShare));
  const double high = std::max(0.0, histogram.quantile(1 - kTailShare));
  return static_cast<float>(std::max(high / codes.qmax, low / codes.qmin));
}

}  // namespace

CodeRange activation_codes(int bits, Symmetry symmetry) {
  check(bits >= 2 && bits <= 16, "activations take 2 to 16 bits");
  if (symmetry == Symmetry::symmetric) {
    const int32_t most = (1 << (bits - 1)) - 1;
    return {bits <= 8 ? DType::i8 : DType::i16, -most, most};
  }
  return {bits <= 8 ? DType::u8 : DType::u16, 0, (1 << bits) - 1};
}

CodeRange weight_codes(int bits) {
  check(bits >= 2 && bits <= 16, "weights take 2 to 16 bits");
  const int32_t half = 1 << (bits - 1);
  if (bits > 4) return {bits <= 8 ? DType::i8 : DType::i16, 1 - half, half - 1};
  return {bits == 2 ? DType::i2 : DType::i4, -half, half - 1};
}

double rounding_error(const Moments& moments, const Histogram& histogram, float scale,
                      int32_t zero_point, const CodeRange& codes) {
  if (moments.count == 0) return 0;
  const double low = static_cast<double>(codes.qmin) - zero_point;
  const double high = static_cast<double>(codes.qmax) - zero_point;
  const double step = scale;
  const double width = histogram.bin_width() / step;
  const double minimum = static_cast<double>(moments.minimum) / step;
  const double maximum = static_cast<double>(moments.maximum) / step;
  double sum = 0;
  double left = histogram.low() / step;
  double previous = 0;
  bool previous_known = false;
  for (const int64_t count : histogram.counts()) {
    const double right = left + width;
    const bool holds_zero = left == 0;
    const double values = static_cast<double>(count - (holds_zero ? moments.zeros : 0));
    const double a = std::max(left, minimum);
    const double b = std::min(right, maximum);
    if (values > 0 && b > a) {
      const double from = previous_known && a == left ? previous : error_integral(a, low, high);
      previous = error_integral(b, low, high);
      previous_known = b == right;
      sum += values * (previous - from) / (b - a);
    } else {
      previous_known = false;
      if (values > 0) sum += values * point_error(std::clamp(a, minimum, maximum), low, high);
    }
    left = right;
  }
  return std::max(0.0, sum) * step * step / static_cast<double>(moments.count);
}

QuantParams activation_params(const Moments& moments, const Histogram& histogram, int bits,
                              ObserverKind observer, Symmetry symmetry) {
  const CodeRange codes = activation_codes(bits, symmetry);
  double low = std::min(0.0, static_cast<double>(moments.minimum));
  double high = std::max(0.0, static_cast<double>(moments.maximum));
  if (observer == ObserverKind::percentile) {
    low = std::max(low, std::min(0.0, histogram.quantile(kTailShare)));
    high = std::min(high, std::max(0.0, histogram.quantile(1 - kTailShare)));
  }
  const bool search = observer == ObserverKind::mse;
  Affine grid;
  if (symmetry == Symmetry::symmetric) {
    const double reach = std::max(-low, high);
    grid = search ? search_reach(moments, histogram, codes, reach) : symmetric_grid(reach, codes);
  } else {
    grid =
        search ? search_range(moments, histogram, codes, low, high) : affine_grid(low, high, codes);
  }
  return {.storage = codes.storage,
          .qmin = codes.qmin,
          .qmax = codes.qmax,
          .scale = {grid.scale},
          .zero_point = {grid.zero_point}};
}

double squared_error(std::span<const float> weights, float scale, const CodeRange& codes) {
  const auto low = static_cast<float>(codes.qmin);
  const auto high = static_cast<float>(codes.qmax);
  double sum = 0;
  for (const float weight : weights) {
    const float code = round_code(weight / scale, low, high);
    const double difference = static_cast<double>(weight) - static_cast<double>(code * scale);
    sum += difference * difference;
  }
  return sum;
}

float weight_scale(std::span<const float> weights, const CodeRange& codes, ObserverKind observer) {
  const float widest = min_max_scale(weights, codes);
  if (!(widest >= kSmallestScale)) return 1.0F;
  if (observer == ObserverKind::min_max) return widest;
  if (observer == ObserverKind::percentile) {
    const float scale = percentile_scale(weights, codes);
    return scale >= kSmallestScale ? std::min(scale, widest) : widest;
  }
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

QuantParams weight_params(const Tensor& weight, WeightGrouping grouping, int bits,
                          ObserverKind observer, ThreadPool& pool) {
  const CodeRange codes = weight_codes(bits);
  QuantParams params{.storage = codes.storage, .qmin = codes.qmin, .qmax = codes.qmax};
  if (grouping.axis >= 0) {
    params.granularity =
        grouping.block_size > 0 ? Granularity::per_block : Granularity::per_channel;
    params.axis = grouping.axis;
    params.block_size = grouping.block_size;
  }
  const std::span<const float> values = weight.data<float>();
  const auto groups = static_cast<size_t>(quant_groups(params, weight.shape()));
  std::vector<std::vector<float>> members(groups);
  for (size_t i = 0; i < values.size(); ++i) {
    members[static_cast<size_t>(quant_group(params, weight.shape(), static_cast<int64_t>(i)))]
        .push_back(values[i]);
  }
  params.scale.resize(groups);
  params.zero_point.assign(groups, 0);
  pool.parallel_for(static_cast<int64_t>(groups), [&](int64_t group) {
    const auto g = static_cast<size_t>(group);
    params.scale[g] = weight_scale(members[g], codes, observer);
  });
  return params;
}

double squared_error(const Tensor& weight, const QuantParams& params) {
  const Tensor rounded = dequantize_tensor(quantize_tensor(weight, params), params);
  const std::span<const float> a = weight.data<float>();
  const std::span<const float> b = rounded.data<float>();
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return sum;
}

double sqnr_db(double signal, double noise) {
  constexpr double kNothingLost = 150;
  if (!(signal > 0) || noise <= signal * 1e-15) return kNothingLost;
  return 10 * std::log10(signal / noise);
}

}  // namespace nibble
