// Products with packed weights in plain loops: the definition that the fast ones equal bit for bit.
#include "kernels/packed_float.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;

// The code of number i of a block, for the output that stands at `lane` of its panel.
template <int kBits>
int32_t code_at(const uint8_t* block, int64_t i, int64_t lane) {
  if constexpr (kBits == 8) return static_cast<int8_t>(block[i * kPanel + lane]);
  const uint8_t byte = block[i / 2 * kPanel + lane];
  return i % 2 == 0 ? byte & 15 : byte >> 4;
}

template <int kBits>
void tile(const PackedTile& t) {
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t n = 0; n < t.outputs; ++n) {
      const int64_t lane = n % kPanel;
      const int64_t first_group = n / kPanel * t.shape->blocks() * kPanel;
      const uint8_t* block = t.weights + n / kPanel * t.weight_step;
      const float* x = t.data + row * t.data_step;
      float sum = 0;
      for (int64_t b = 0; b < t.shape->blocks(); ++b) {
        const int64_t group = first_group + b * kPanel + lane;
        const int64_t length = t.shape->length_of(b);
        for (int64_t i = 0; i < length; ++i) {
          const int32_t code = code_at<kBits>(block, i, lane) - t.zero[group];
          const float weight = static_cast<float>(code) * t.scale[group];
          sum += weight * x[i];
        }
        x += length;
        block += (kBits == 8 ? length : (length + 1) / 2) * kPanel;
      }
      sum += t.bias[n];
      t.out[row * t.out_step + n] = sum < t.low ? t.low : (sum > t.high ? t.high : sum);
    }
  }
}

constexpr PackedKernels kKernels{.panels = 1, .tile4 = tile<4>, .tile8 = tile<8>};

}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::reference>() {
  return kKernels;
}

}  // namespace nibble
