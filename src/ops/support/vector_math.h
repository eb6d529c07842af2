// Branch-free exp, tanh and logistic in f32, which compilers vectorize: the C library's are called
// one element at a time. Relative error below 3e-7 (tests/ops/vector_math_test.cpp measures it).
// Same bits however the loop is cut, since no lane depends on another.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace nibble {

/// e^x by range reduction to [-ln2/2, ln2/2] and the polynomial of Cephes' expf (Moshier, 1989).
/// Saturates below at 2^-126 and above at e^88; NaN stays NaN.
inline float exp_f32(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
  x = x > 88.0F ? 88.0F : x;
  x = x < -87.0F ? -87.0F : x;
  const float shifted = x * 1.44269504088896341F + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float mantissa = p * (r * r) + r + 1.0F;
  // The low bits of `shifted` are n; moved into the exponent field they multiply by 2^n.
  const uint32_t power = (std::bit_cast<uint32_t>(shifted) << 23) + (127U << 23);
  return mantissa * std::bit_cast<float>(power);
}

inline float sigmoid_f32(float x) { return 1.0F / (1.0F + exp_f32(-x)); }

/// Near zero the odd polynomial of Cephes' tanhf, else 1 - 2 / (e^2|x| + 1).
inline float tanh_f32(float x) {
  const float magnitude = std::fabs(x);
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const float near = p * z * x + x;
  const float far = std::copysign(1.0F - 2.0F / (exp_f32(2.0F * magnitude) + 1.0F), x);
  return magnitude < 0.625F ? near : far;
}

}  // namespace nibble
