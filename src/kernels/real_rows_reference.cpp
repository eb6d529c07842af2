// The loops of real_rows.h one element after another: the reference.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "kernels/output_stage.h"
#include "kernels/real_rows.h"
#include "kernels/vector_math.h"

namespace nibble {
namespace {

template <float (*f)(float)>
void map(const float* in, float* out, int64_t n) {
  std::transform(in, in + n, out, f);
}

void add(const float* a, const float* b, float* out, int64_t n) {
  std::transform(a, a + n, b, out, [](float x, float y) { return x + y; });
}

void scale(const float* in, float factor, float* out, int64_t n) {
  std::transform(in, in + n, out, [factor](float x) { return x * factor; });
}

void scale_to_codes(const float* in, float factor, int32_t zero_point, int32_t qmin, int32_t qmax,
                    uint8_t* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double code = std::nearbyint(static_cast<double>(in[i] * factor)) + zero_point;
    out[i] = static_cast<uint8_t>(std::isnan(code) ? qmin : std::clamp<double>(code, qmin, qmax));
  }
}

template <typename F>
double sum_of(std::span<const float> in, const F& f) {
  std::array<double, 8> sums{};
  const size_t whole = in.size() / 8 * 8;
  for (size_t i = 0; i < whole; ++i) sums[i % 8] += f(static_cast<double>(in[i]));
  double sum = 0;
  for (const float x : in.subspan(whole)) sum += f(static_cast<double>(x));
  for (const double part : sums) sum += part;
  return sum;
}

double exponentials(const float* in, float* out, int64_t n) {
  float top = in[0];
  for (int64_t i = 1; i < n; ++i) top = in[i] > top ? in[i] : top;
  for (int64_t i = 0; i < n; ++i) out[i] = exp_f32(in[i] - top);
  return sum_of(std::span(out, static_cast<size_t>(n)), [](double x) { return x; });
}

void normalize(const float* in, const float* gain, const float* bias, double epsilon, float* out,
               int64_t n) {
  const std::span<const float> row(in, static_cast<size_t>(n));
  const double mean = sum_of(row, [](double x) { return x; }) / static_cast<double>(n);
  const double variance =
      sum_of(row, [mean](double x) { return (x - mean) * (x - mean); }) / static_cast<double>(n);
  const auto centre = static_cast<float>(mean);
  const auto inverse = static_cast<float>(1 / std::sqrt(variance + epsilon));
  for (int64_t i = 0; i < n; ++i) {
    out[i] = (in[i] - centre) * inverse * gain[i];
    if (bias != nullptr) out[i] += bias[i];
  }
}

constexpr RealRows kKernels = {
    .functions = {map<erf_f32>, map<tanh_f32>, map<sigmoid_f32>, map<gelu_f32>, map<gelu_tanh_f32>},
    .add = add,
    .scale = scale,
    .scale_to_codes = scale_to_codes,
    .exponentials = exponentials,
    .normalize = normalize};

}  // namespace

template <>
const RealRows& real_rows<Isa::reference>() {
  return kKernels;
}

}  // namespace nibble
