// Products of 16-bit data with packed weights in plain loops and 64 bits: the definition that the
// fast ones equal bit for bit.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/packed_int16.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;

// The code of number i of a block, for the output that stands at `lane` of its panel.
template <int kBits>
int32_t code_at(const uint8_t* block, int64_t i, int64_t lane) {
  if constexpr (kBits == 8) return static_cast<int8_t>(block[(i / 2 * kPanel + lane) * 2 + i % 2]);
  const uint8_t byte = block[i / 2 * kPanel + lane];
  return i % 2 == 0 ? byte & 15 : byte >> 4;
}

template <int kBits>
void tile(const Int16Tile& t) {
  for (int64_t row = 0; row < t.rows; ++row) {
    for (int64_t n = 0; n < t.outputs; ++n) {
      const int64_t lane = n % kPanel;
      const int64_t first_group = n / kPanel * t.shape->blocks() * kPanel;
      const uint8_t* block = t.weights + n / kPanel * t.weight_step;
      const int16_t* x = t.data[row].integers;
      float total = 0;
      for (int64_t b = 0; b < t.shape->blocks(); ++b) {
        const int64_t group = first_group + b * kPanel + lane;
        const int64_t length = t.shape->length_of(b), pairs = (length + 1) / 2;
        int64_t sum = 0;
        for (int64_t i = 0; i < length; ++i) {
          sum += int64_t{code_at<kBits>(block, i, lane) - t.zero[group]} * x[i];
        }
        total += static_cast<float>(static_cast<int32_t>(sum)) * t.scale[group];
        x += 2 * pairs;
        block += pairs * kPanel * (kBits == 8 ? 2 : 1);
      }
      t.out[row * t.out_step + n] = total * t.data[row].scale + t.bias[n];
    }
  }
}

void round(const PackedShape& shape, const float* data, float limit, Int16Row& row) {
  const std::span<const float> numbers(data, static_cast<size_t>(shape.depth()));
  const bool is_finite = std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
  float largest = 0;
  for (float x : numbers) largest = std::max(largest, std::abs(x));
  const bool is_zero = largest < 1e-30F;
  row.scale = !is_finite ? std::numeric_limits<float>::quiet_NaN() : is_zero ? 0 : largest / limit;
  const float factor = is_finite && !is_zero ? limit / largest : 0;
  int16_t* to = row.integers;
  for (int64_t block = 0; block < shape.blocks(); ++block) {
    const int64_t length = shape.length_of(block);
    int64_t sum = 0;
    for (int64_t i = 0; i < length; ++i, ++data) {
      to[i] = is_finite ? static_cast<int16_t>(std::nearbyint(*data * factor)) : int16_t{0};
      sum += to[i];
    }
    if (length % 2 != 0) to[length] = 0;
    row.sums[block] = static_cast<int32_t>(sum);
    to += (length + 1) / 2 * 2;
  }
}

constexpr Int16Kernels kKernels{.tile4 = tile<4>, .tile8 = tile<8>, .round = round};

}  // namespace

template <>
const Int16Kernels& int16_kernels<Isa::reference>() {
  return kKernels;
}

}  // namespace nibble
