#include "ranges/grid.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nibble {
namespace {

// The grid for [low, high], which includes zero.
Grid affine_grid(double low, double high, const BitCodes& codes) {
  const double scale = (high - low) / (static_cast<double>(codes.qmax) - codes.qmin);
  if (!(scale >= kSmallestScale)) return {1.0F, codes.qmin};
  const auto rounded = static_cast<float>(scale);
  const double zero = codes.qmin - low / static_cast<double>(rounded);
  return {rounded,
          static_cast<int32_t>(std::clamp<double>(std::nearbyint(zero), codes.qmin, codes.qmax))};
}

Grid symmetric_grid(double reach, const BitCodes& codes) {
  const double scale = reach / codes.qmax;
  return {scale >= kSmallestScale ? static_cast<float>(scale) : 1.0F, 0};
}

// As std::nearbyint for |x| within 2^51, without a call: what is added leaves no bits below the
// point.
double round_half_to_even(double x) { return (x + 0x1.8p52) - 0x1.8p52; }

// Integral of the squared rounding error from 0 to x, on the grid of step 1 with codes in
// [low, high]: whole cells contribute 1/12, and d^3/3 continues beyond the last code as clipping.
double error_integral(double x, double low, double high) {
  const double code = round_half_to_even(std::clamp(x, low, high));
  const double d = x - code;
  return code / 12 + d * d * d / 3;
}

double point_error(double x, double low, double high) {
  const double d = x - round_half_to_even(std::clamp(x, low, high));
  return d * d;
}

}  // namespace

BitCodes activation_codes(int bits, Symmetry symmetry) {
  check(bits >= 2 && bits <= 16, "activations take 2 to 16 bits");
  if (symmetry == Symmetry::symmetric) {
    const int32_t most = (1 << (bits - 1)) - 1;
    return {bits <= 8 ? DType::i8 : DType::i16, -most, most};
  }
  return {bits <= 8 ? DType::u8 : DType::u16, 0, (1 << bits) - 1};
}

BitCodes weight_codes(int bits) {
  check(bits >= 2 && bits <= 16, "weights take 2 to 16 bits");
  const int32_t half = 1 << (bits - 1);
  if (bits > 4) return {bits <= 8 ? DType::i8 : DType::i16, 1 - half, half - 1};
  return {bits == 2 ? DType::i2 : DType::i4, -half, half - 1};
}

Grid grid_over(double low, double high, const BitCodes& codes, Symmetry symmetry) {
  if (symmetry == Symmetry::symmetric) return symmetric_grid(std::max(-low, high), codes);
  return affine_grid(low, high, codes);
}

double rounding_error(const Moments& moments, const Histogram& histogram, const Grid& grid,
                      const BitCodes& codes, double enough) {
  if (moments.count == 0) return 0;
  const double low = static_cast<double>(codes.qmin) - grid.zero_point;
  const double high = static_cast<double>(codes.qmax) - grid.zero_point;
  const double step = grid.scale;
  const double width = histogram.bin_width() / step;
  const double minimum = static_cast<double>(moments.minimum) / step;
  const double maximum = static_cast<double>(moments.maximum) / step;
  // The sum only grows, but for its own rounding, which 1e-9 is far above.
  const auto count_of_all = static_cast<double>(moments.count);
  const double stop = enough / (step * step) * count_of_all * (1 + 1e-9) + 1e-9 * count_of_all;
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
    if (sum > stop) break;
  }
  return std::max(0.0, sum) * step * step / count_of_all;
}

double squared_error(std::span<const float> weights, float scale, const BitCodes& codes) {
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

double squared_error(const Tensor& weight, const Tensor& codes, const QuantParams& params) {
  const Tensor rounded = dequantize_tensor(codes, params);
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
