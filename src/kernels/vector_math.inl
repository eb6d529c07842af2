// Branch-free exp, erf, tanh, logistic and GELU in f32, which compilers vectorize: the C library's are called one element at
// a time. No lane depends on another and nothing is contracted, so the bits are the same on every instruction set and however
// a loop is cut. Included where kernels/vector_math.h may not be: in files of one instruction set, inside their own namespace.

/// e^x by range reduction to [-ln2/2, ln2/2] and the polynomial of Cephes' expf (Moshier, 1989). Relative error below 3e-7.
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
  const uint32_t power = (__builtin_bit_cast(uint32_t, shifted) << 23) + (127U << 23);
  return mantissa * __builtin_bit_cast(float, power);
}

/// Relative error below 3e-7.
inline float sigmoid_f32(float x) { return 1.0F / (1.0F + exp_f32(-x)); }

/// Near zero the odd polynomial of Cephes' tanhf, else 1 - 2 / (e^2|x| + 1). Relative error below 3e-7.
inline float tanh_f32(float x) {
  const float magnitude = __builtin_fabsf(x);
  const float z = x * x;
  float p = -5.70498872745e-3F;
  p = p * z + 2.06390887954e-2F;
  p = p * z - 5.37397155531e-2F;
  p = p * z + 1.33314422036e-1F;
  p = p * z - 3.33332819422e-1F;
  const float near = p * z * x + x;
  const float far = __builtin_copysignf(1.0F - 2.0F / (exp_f32(2.0F * magnitude) + 1.0F), x);
  return magnitude < 0.625F ? near : far;
}

/// Minimax polynomials of N. Juffa (2015): near zero of x^2, else e to a polynomial of |x|, which is 1 to f32 from 3.92 on.
/// Relative error below 3e-7.
inline float erf_f32(float x) {
  const float magnitude = __builtin_fabsf(x);
  const float z = x * x;
  float p = -5.96761703e-4F;
  p = p * z + 4.99119423e-3F;
  p = p * z - 2.67681349e-2F;
  p = p * z + 1.12819925e-1F;
  p = p * z - 3.76125336e-1F;
  p = p * z + 1.28379166e-1F;
  const float near = p * x + x;
  const float t = magnitude > 4.0F ? 4.0F : magnitude;  // beyond it the polynomial turns round
  float q = -1.72853470e-5F;
  q = q * t + 3.83197126e-4F;
  q = q * t - 3.88396438e-3F;
  q = q * t + 2.42546219e-2F;
  q = q * t - 1.06777877e-1F;
  q = q * t - 6.34846687e-1F;
  q = q * t - 1.28717512e-1F;
  q = q * t - t;
  const float far = __builtin_copysignf(1.0F - exp_f32(q), x);
  return magnitude > 0.927734375F ? far : near;
}

/// x / 2 * (1 + erf(x / sqrt 2)).
inline float gelu_f32(float x) {
  return 0.5F * x * (1.0F + erf_f32(x * 0.70710678118654752F));
}

/// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
inline float gelu_tanh_f32(float x) {
  return 0.5F * x * (1.0F + tanh_f32(0.79788456080286536F * (x + 0.044715F * x * x * x)));
}
