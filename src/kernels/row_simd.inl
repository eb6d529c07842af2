// Row kernels written so that compilers vectorize them; included by one file per instruction set,
// inside its own namespace, so that no code compiled for a wider instruction set is shared. That
// file defines kVectorBytes and look_up().

// Branch-free round_half_to_even and clamp: see round_clamped in output_stage.h.
struct Rounding {
  float low;
  float high;
  int32_t zero_point;

  Rounding(int32_t zero, int32_t qmin, int32_t qmax)
      : low(static_cast<float>(qmin - zero)),
        high(static_cast<float>(qmax - zero)),
        zero_point(zero) {}
  uint8_t operator()(float real) const {
    const float above = real > low ? real : low;
    const float inside = above < high ? above : high;
    const float rounded = (inside + 12582912.0F) - 12582912.0F;
    return static_cast<uint8_t>(static_cast<int32_t>(rounded) + zero_point);
  }
};

void add(const AddParams& params, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n) {
  const AddParams p = params;  // a local copy: stores to `out` cannot change it
  const Rounding code(p.out_zero, p.qmin, p.qmax);
  for (int64_t i = 0; i < n; ++i) {
    const float left = static_cast<float>(a[i] - p.a_zero) * p.a_ratio;
    const float right = static_cast<float>(b[i] - p.b_zero) * p.b_ratio;
    out[i] = code(left + right);
  }
}

void mul(const MulParams& params, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n) {
  const MulParams p = params;
  const Rounding code(p.out_zero, p.qmin, p.qmax);
  for (int64_t i = 0; i < n; ++i) {
    const auto product = static_cast<float>((a[i] - p.a_zero) * (b[i] - p.b_zero));
    out[i] = code(product * p.multiplier);
  }
}

void requantize(const RequantizeParams& params, const uint8_t* in, uint8_t* out, int64_t n) {
  const RequantizeParams p = params;
  const Rounding code(p.out_zero, p.qmin, p.qmax);
  for (int64_t i = 0; i < n; ++i) out[i] = code(static_cast<float>(in[i] - p.in_zero) * p.ratio);
}

// look_up() of the including file does as many of the first codes as fill its vectors, and says how
// many.
void table(const uint8_t* table, const uint8_t* in, uint8_t* out, int64_t n) {
  for (int64_t i = look_up(table, in, out, n); i < n; ++i) out[i] = table[in[i]];
}

void quantize(const QuantizeParams& params, const float* in, uint8_t* out, int64_t n) {
  const QuantizeParams p = params;
  const Rounding code(p.zero_point, p.qmin, p.qmax);
  for (int64_t i = 0; i < n; ++i) out[i] = code(in[i] / p.scale);
}

void dequantize(float scale, int32_t zero_point, const uint8_t* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = scale * static_cast<float>(in[i] - zero_point);
}

// The largest of each of kWidth codes, from position c on.
template <int kWidth>
void max_at(const uint8_t* const* taps, int64_t count, uint8_t* out, int64_t c) {
  using Codes [[gnu::vector_size(kWidth)]] = uint8_t;
  Codes largest;
  __builtin_memcpy(&largest, taps[0] + c, kWidth);
  for (int64_t t = 1; t < count; ++t) {
    Codes tap;
    __builtin_memcpy(&tap, taps[t] + c, kWidth);
    largest = tap > largest ? tap : largest;
  }
  __builtin_memcpy(out + c, &largest, kWidth);
}

void max(const uint8_t* const* taps, int64_t count, uint8_t* out, int64_t n) {
  int64_t c = 0;
  for (; c + kVectorBytes <= n; c += kVectorBytes) max_at<kVectorBytes>(taps, count, out, c);
  for (; c + 16 <= n; c += 16) max_at<16>(taps, count, out, c);
  // The rest overlaps what is done: the largest stays the largest.
  if (c < n && n >= 16) max_at<16>(taps, count, out, n - 16);
  for (; n < 16 && c < n; ++c) {
    uint8_t largest = taps[0][c];
    for (int64_t t = 1; t < count; ++t) largest = taps[t][c] > largest ? taps[t][c] : largest;
    out[c] = largest;
  }
}

int32_t sum(const uint8_t* in, int64_t n) {
  int32_t total = 0;
  for (int64_t i = 0; i < n; ++i) total += in[i];
  return total;
}

void accumulate(const uint8_t* in, int32_t* sums, int64_t n) {
  for (int64_t i = 0; i < n; ++i) sums[i] += in[i];
}

void average(const AveragePoolParams& params, const int32_t* sums, int32_t bias, float multiplier,
             uint8_t* out, int64_t n) {
  const Rounding code(params.out_zero, params.qmin, params.qmax);
  for (int64_t i = 0; i < n; ++i) out[i] = code(static_cast<float>(sums[i] - bias) * multiplier);
}

void interleave3(const uint8_t* const* in, uint8_t* out, int64_t n) {
  const uint8_t* __restrict a = in[0];
  const uint8_t* __restrict b = in[1];
  const uint8_t* __restrict c = in[2];
  uint8_t* __restrict to = out;
  for (int64_t i = 0; i < n; ++i) {
    to[3 * i] = a[i];
    to[3 * i + 1] = b[i];
    to[3 * i + 2] = c[i];
  }
}

constexpr RowKernels kKernels = {add,        mul, requantize, table,   quantize,
                                 dequantize, max, sum, accumulate, average, interleave3};
