// Products of 16-bit data with packed weights without intrinsics: loops over 16 lanes that
// compilers vectorize.
#include "kernels/packed_int16.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  struct Sums {
    int32_t lane[16];
  };
  struct Reals {
    float lane[16];
  };
  struct Weights {
    int16_t pair[32];
  };

  static Sums zero() { return {}; }
  static Reals real_zero() { return {}; }
  static Weights weights8(const uint8_t* bytes) {
    Weights result;
    for (int j = 0; j < 32; ++j) result.pair[j] = static_cast<int8_t>(bytes[j]);
    return result;
  }
  static Weights weights4(const uint8_t* bytes) {
    Weights result;
    for (int j = 0; j < 16; ++j) {
      result.pair[2 * j] = static_cast<int16_t>(bytes[j] & 15);
      result.pair[2 * j + 1] = static_cast<int16_t>(bytes[j] >> 4);
    }
    return result;
  }
  static Sums add(const Sums& sums, const Weights& weights, int32_t pair) {
    int16_t data[2];
    __builtin_memcpy(data, &pair, sizeof(data));
    Sums result;
    for (int j = 0; j < 16; ++j) {
      // Each product and the sum of two fits 32 bits; the running sum may wrap until the zero
      // point is taken off.
      const int32_t both = weights.pair[2 * j] * data[0] + weights.pair[2 * j + 1] * data[1];
      result.lane[j] =
          static_cast<int32_t>(static_cast<uint32_t>(sums.lane[j]) + static_cast<uint32_t>(both));
    }
    return result;
  }
  static Reals add_block(const Reals& totals, const Sums& sums, int32_t data, const int32_t* zero,
                         const float* scale) {
    Reals result;
    for (int j = 0; j < 16; ++j) {
      const uint32_t offset = static_cast<uint32_t>(zero[j]) * static_cast<uint32_t>(data);
      const auto exact = static_cast<int32_t>(static_cast<uint32_t>(sums.lane[j]) - offset);
      result.lane[j] = totals.lane[j] + static_cast<float>(exact) * scale[j];
    }
    return result;
  }
  static void store(const Reals& totals, float scale, const float* bias, float* out,
                    int64_t count) {
    for (int j = 0; j < 16 && j < count; ++j) out[j] = totals.lane[j] * scale + bias[j];
  }
};

constexpr int kTileRows = 2, kTilePanels = 1, kRowPanels = 2;

#include "kernels/packed_int16_tile.inl"
}  // namespace

template <>
const Int16Kernels& int16_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
