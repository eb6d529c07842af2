// The loops of real_rows.h as compilers vectorize them; included by one file per instruction set, inside its own namespace, so
// that no code compiled for a wider instruction set is shared. That file defines kVectorBytes.

#include "kernels/vector_math.inl"

template <float (*f)(float)>
void map(const float* in, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = f(in[i]);
}

void add(const float* a, const float* b, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void scale(const float* in, float factor, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = in[i] * factor;
}

void scale_to_codes(const float* in, float factor, int32_t zero_point, int32_t qmin, int32_t qmax,
                    uint8_t* out, int64_t n) {
  const auto low = static_cast<float>(qmin - zero_point);
  const auto high = static_cast<float>(qmax - zero_point);
  for (int64_t i = 0; i < n; ++i) {  // see round_clamped in output_stage.h
    const float real = in[i] * factor;
    const float above = real > low ? real : low;
    const float inside = above < high ? above : high;
    const float rounded = (inside + 12582912.0F) - 12582912.0F;
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(rounded) + zero_point);
  }
}

using Reals [[gnu::vector_size(kVectorBytes)]] = float;
using HalfReals [[gnu::vector_size(kVectorBytes / 2)]] = float;
using Doubles [[gnu::vector_size(kVectorBytes)]] = double;
constexpr int64_t kLanes = kVectorBytes / 4;
constexpr int64_t kDoubles = kVectorBytes / 8;
constexpr int64_t kSums = 8;
constexpr int64_t kParts = kSums / kDoubles;

float largest(const float* in, int64_t n) {
  float top = in[0];
  int64_t i = 0;
  if (n >= kLanes) {
    Reals tops;
    __builtin_memcpy(&tops, in, sizeof tops);
    for (i = kLanes; i + kLanes <= n; i += kLanes) {
      Reals some;
      __builtin_memcpy(&some, in + i, sizeof some);
      tops = some > tops ? some : tops;
    }
    for (int64_t lane = 0; lane < kLanes; ++lane) top = tops[lane] > top ? tops[lane] : top;
  }
  for (; i < n; ++i) top = in[i] > top ? in[i] : top;
  return top;
}

// What sums add up: x, or its squared distance from the mean.
struct Itself {
  template <typename T>
  void operator()(T&) const {}
};
struct SquaredFrom {
  double mean;
  template <typename T>
  void operator()(T& x) const {
    const T distance = x - mean;
    x = distance * distance;
  }
};

template <typename F>
double sum_of(const float* in, int64_t n, const F& f) {
  Doubles sums[kParts] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t part = 0; part < kParts; ++part) {
      HalfReals some;
      __builtin_memcpy(&some, in + i + part * kDoubles, sizeof some);
      Doubles wide = __builtin_convertvector(some, Doubles);
      f(wide);
      sums[part] += wide;
    }
  }
  double sum = 0;
  for (; i < n; ++i) {
    double x = static_cast<double>(in[i]);
    f(x);
    sum += x;
  }
  for (int64_t part = 0; part < kParts; ++part) {
    for (int64_t lane = 0; lane < kDoubles; ++lane) sum += sums[part][lane];
  }
  return sum;
}

double exponentials(const float* in, float* out, int64_t n) {
  const float top = largest(in, n);
  for (int64_t i = 0; i < n; ++i) out[i] = exp_f32(in[i] - top);
  return sum_of(out, n, Itself());
}

void normalize(const float* in, const float* gain, const float* bias, double epsilon, float* out,
               int64_t n) {
  const double mean = sum_of(in, n, Itself()) / static_cast<double>(n);
  const double variance = sum_of(in, n, SquaredFrom{mean}) / static_cast<double>(n);
  const auto centre = static_cast<float>(mean);
  const auto inverse = static_cast<float>(1 / __builtin_sqrt(variance + epsilon));
  if (bias == nullptr) {
    for (int64_t i = 0; i < n; ++i) out[i] = (in[i] - centre) * inverse * gain[i];
    return;
  }
  for (int64_t i = 0; i < n; ++i) out[i] = (in[i] - centre) * inverse * gain[i] + bias[i];
}

constexpr RealRows kKernels = {.functions = {map<erf_f32>, map<tanh_f32>,
                                             map<sigmoid_f32>, map<gelu_f32>, map<gelu_tanh_f32>},
                               .add = add,
                               .scale = scale,
                               .scale_to_codes = scale_to_codes,
                               .exponentials = exponentials,
                               .normalize = normalize};
