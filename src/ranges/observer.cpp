#include "ranges/observer.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nibble {
namespace {

constexpr double kTailShare = 0.0001;       // clipped by the percentile observer on each side
constexpr double kSmallestScale = 0x1p-60;  // a product of two scales is still a normal float
constexpr double kShrink = 0.96;            // between one candidate of a clipping search and the next
constexpr int kShrinks = 60;                // down to 9 % of the range

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
  return {rounded, static_cast<int32_t>(std::clamp<double>(std::nearbyint(zero), codes.qmin,
                                                           codes.qmax))};
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

Affine search_range(const Moments& moments, const Histogram& histogram, const CodeRange& codes,
                    double low, double high) {
  const auto error = [&](double bottom, double top, Affine& grid) {
    grid = affine_grid(bottom, top, codes);
    return rounding_error(moments, histogram, grid.scale, grid.zero_point, codes);
  };
  Affine best, grid;
  double least = error(low, high, best);
  // One end at a time, until neither gains: the error is smooth, with one valley per end.
  double best_low = low, best_high = high;
  for (int round = 0; round < 4; ++round) {
    const double before = least;
    for (const bool top : {true, false}) {
      double& end = top ? best_high : best_low;
      const double widest = top ? high : low;
      if (widest == 0) continue;
      double candidate = widest;
      for (int step = 0; step < kShrinks; ++step, candidate *= kShrink) {
        const double found =
            top ? error(best_low, candidate, grid) : error(candidate, best_high, grid);
        if (found >= least) continue;
        least = found;
        best = grid;
        end = candidate;
      }
    }
    if (least == before) break;
  }
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

CodeRange activation_codes(int bits) {
  check(bits >= 2 && bits <= 16, "activations take 2 to 16 bits");
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
      const double from =
          previous_known && a == left ? previous : error_integral(a, low, high);
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
                              ObserverKind observer) {
  const CodeRange codes = activation_codes(bits);
  double low = std::min(0.0, static_cast<double>(moments.minimum));
  double high = std::max(0.0, static_cast<double>(moments.maximum));
  if (observer == ObserverKind::percentile) {
    low = std::max(low, std::min(0.0, histogram.quantile(kTailShare)));
    high = std::min(high, std::max(0.0, histogram.quantile(1 - kTailShare)));
  }
  const Affine grid = observer == ObserverKind::mse
                          ? search_range(moments, histogram, codes, low, high)
                          : affine_grid(low, high, codes);
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
  for (double ratio = kShrink; ratio > 0.2; ratio *= kShrink) {
    const auto candidate = static_cast<float>(widest * ratio);
    const double error = squared_error(weights, candidate, codes);
    if (error >= least) continue;
    least = error;
    best = candidate;
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
