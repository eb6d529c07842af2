// Fake quantization as fake_quantize.h states it, in plain loops.
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/fake_quantize.h"

namespace nibble {
namespace {

// Half to even whatever the rounding mode of the processor is.
float rounded(float v) {
  const float down = std::floor(v), rest = v - down;
  if (rest != 0.5F) return rest < 0.5F ? down : down + 1;
  return std::fmod(down, 2.0F) == 0 ? down : down + 1;
}

float clamped(float v, const FakeGrid& grid) {
  return std::isnan(v) ? grid.low : std::clamp(v, grid.low, grid.high);
}

bool stays_real(const FakeGrid& grid, uint32_t first, int64_t i) {
  return nibble::stays_real(grid.seed, first + static_cast<uint32_t>(i), grid.unrounded);
}

void forward(const FakeGrid& grid, const float* in, uint32_t first, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = stays_real(grid, first, i) ? in[i]
                                        : rounded(clamped(in[i] / grid.scale, grid)) * grid.scale;
  }
}

double backward(const FakeGrid& grid, const float* in, uint32_t first, const float* upstream,
                float* gradient, int64_t n) {
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += 1024) {
    std::array<float, 16> sums{};
    for (int64_t i = begin; i < std::min(begin + 1024, n); ++i) {
      const float v = in[i] / grid.scale;
      const bool inside = v > grid.low && v < grid.high;
      const bool real = stays_real(grid, first, i);
      gradient[i] = inside || real ? upstream[i] : 0.0F;
      const float slope = inside ? rounded(v) - v : clamped(v, grid);
      if (!real) sums[static_cast<size_t>(i % 16)] += upstream[i] * slope;
    }
    for (const float sum : sums) total += static_cast<double>(sum);
  }
  return total;
}

void mix(const FakeGrid& grid, const float* real, const float* rounded, uint32_t first, float* out,
         int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = stays_real(grid, first, i) ? real[i] : rounded[i];
}

}  // namespace

template <>
const FakeQuantizeKernels& fake_quantize_kernels<Isa::reference>() {
  static const FakeQuantizeKernels kernels = {.forward = forward, .backward = backward, .mix = mix};
  return kernels;
}

}  // namespace nibble
