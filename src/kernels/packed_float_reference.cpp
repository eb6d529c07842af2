// Products with packed weights in plain loops: the definition that the fast ones equal bit for bit.
#include <array>

#include "kernels/packed_float.h"

namespace nibble {
namespace {

// The code at position k of an output's weights.
template <int kBits>
int32_t code_at(const uint8_t* weights, int64_t k) {
  if constexpr (kBits == 8) return static_cast<int8_t>(weights[k]);
  const uint8_t byte = weights[k / 32 * 16 + k % 16];
  return k % 32 < 16 ? byte & 15 : byte >> 4;
}

template <int kBits>
void tile(const PackedTile& t) {
  const int64_t block = t.runs * (kBits == 4 ? 32 : 16);
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t n = 0; n < t.outputs; ++n) {
      std::array<float, 16> sums{};
      for (int64_t k = 0; k < t.blocks * block; ++k) {
        const int64_t group = n * t.blocks + k / block;
        const int32_t code = code_at<kBits>(t.weights + n * t.weight_step, k) - t.zero[group];
        const float weight = static_cast<float>(code) * t.scale[group];
        sums[static_cast<size_t>(k % 16)] += weight * t.data[row * t.data_step + k];
      }
      for (size_t step = 8; step > 0; step /= 2) {
        for (size_t j = 0; j < step; ++j) sums[j] += sums[j + step];
      }
      const float sum = sums[0] + t.bias[n];
      t.out[row * t.out_step + n] = sum < t.low ? t.low : (sum > t.high ? t.high : sum);
    }
  }
}

constexpr PackedKernels kKernels{.rows = 1, .outputs = 1, .tile4 = tile<4>, .tile8 = tile<8>};

}  // namespace

const PackedKernels& packed_kernels_reference() { return kKernels; }

}  // namespace nibble
