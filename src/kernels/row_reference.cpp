// Row kernels as the contract states them, with the library's own rounding: the reference.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/row_kernels.h"

namespace nibble {
namespace {

// round_half_to_even(real) + zero_point, saturated. nearbyint rounds half to even.
uint8_t saturate(float real, int32_t zero_point, int32_t qmin, int32_t qmax) {
  if (std::isnan(real)) return static_cast<uint8_t>(qmin);
  const double code = static_cast<double>(std::nearbyint(real)) + zero_point;
  return static_cast<uint8_t>(std::clamp<double>(code, qmin, qmax));
}

void add(const AddParams& p, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float left = static_cast<float>(a[i] - p.a_zero) * p.a_ratio;
    const float right = static_cast<float>(b[i] - p.b_zero) * p.b_ratio;
    out[i] = saturate(left + right, p.out_zero, p.qmin, p.qmax);
  }
}

void mul(const MulParams& p, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const auto product = static_cast<float>((a[i] - p.a_zero) * (b[i] - p.b_zero));
    out[i] = saturate(product * p.multiplier, p.out_zero, p.qmin, p.qmax);
  }
}

void requantize(const RequantizeParams& p, const uint8_t* in, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float real = static_cast<float>(in[i] - p.in_zero) * p.ratio;
    out[i] = saturate(real, p.out_zero, p.qmin, p.qmax);
  }
}

void table(const uint8_t* table, const uint8_t* in, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = table[in[i]];
}

void quantize(const QuantizeParams& p, const float* in, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = saturate(in[i] / p.scale, p.zero_point, p.qmin, p.qmax);
}

void dequantize(float scale, int32_t zero_point, const uint8_t* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = scale * static_cast<float>(in[i] - zero_point);
}

void max(const uint8_t* const* taps, int64_t count, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    uint8_t largest = 0;
    for (int64_t t = 0; t < count; ++t) largest = std::max(largest, taps[t][i]);
    out[i] = largest;
  }
}

int32_t sum(const uint8_t* in, int64_t n) { return std::accumulate(in, in + n, int32_t{0}); }

void accumulate(const uint8_t* in, int32_t* sums, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sums[i] += in[i];
}

void average(const AveragePoolParams& p, const int32_t* sums, int32_t bias, float multiplier,
             uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float real = static_cast<float>(sums[i] - bias) * multiplier;
    out[i] = saturate(real, p.out_zero, p.qmin, p.qmax);
  }
}

void interleave3(const uint8_t* const* in, uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < 3 * n; ++i) out[i] = in[i % 3][i / 3];
}

}  // namespace

template <>
const RowKernels& row_kernels<Isa::reference>() {
  static constexpr RowKernels kKernels = {add, mul, requantize, table,   quantize,   dequantize,
                                          max, sum, accumulate, average, interleave3};
  return kKernels;
}

}  // namespace nibble
