// Products with packed weights without intrinsics: loops over 16 lanes that compilers vectorize.
#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  struct Lanes {
    float lane[16];
  };
  struct Scale {
    const float* scale;
    const int32_t* zero;
  };

  static Lanes zero() { return {}; }
  static Scale scale(const float* scale, const int32_t* zero) { return {scale, zero}; }
  static Lanes load(const float* from) {
    Lanes result;
    for (int j = 0; j < 16; ++j) result.lane[j] = from[j];
    return result;
  }
  static Lanes splat(float x) {
    Lanes result;
    for (int j = 0; j < 16; ++j) result.lane[j] = x;
    return result;
  }
  static Lanes weights8(const uint8_t* bytes, const Scale& s) {
    Lanes result;
    for (int j = 0; j < 16; ++j) {
      const int32_t code = static_cast<int8_t>(bytes[j]) - s.zero[j];
      result.lane[j] = static_cast<float>(code) * s.scale[j];
    }
    return result;
  }
  static Lanes weights4(const uint8_t* bytes, int half, const Scale& s) {
    Lanes result;
    for (int j = 0; j < 16; ++j) {
      const int32_t code = (half == 0 ? bytes[j] & 15 : bytes[j] >> 4) - s.zero[j];
      result.lane[j] = static_cast<float>(code) * s.scale[j];
    }
    return result;
  }
  static Lanes add(const Lanes& a, const Lanes& b) {
    Lanes result;
    for (int j = 0; j < 16; ++j) result.lane[j] = a.lane[j] + b.lane[j];
    return result;
  }
  static Lanes add_product(const Lanes& sum, const Lanes& a, const Lanes& b) {
    Lanes result;
    for (int j = 0; j < 16; ++j) result.lane[j] = sum.lane[j] + a.lane[j] * b.lane[j];
    return result;
  }
  static void store(const Lanes& lanes, float low, float high, float* out, int64_t count) {
    for (int j = 0; j < 16 && j < count; ++j) {
      const float x = lanes.lane[j];
      out[j] = x < low ? low : (x > high ? high : x);
    }
  }
};

constexpr int kTileRows = 2, kTilePanels = 1;

#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
