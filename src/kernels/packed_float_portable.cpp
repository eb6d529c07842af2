// Products with packed weights without intrinsics: vectors of 128 bits as compilers know them,
// wherever there are any. Pairs of 16 bits meet digits of 16.
#include <utility>

#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

using Int32x4 = int32_t __attribute__((vector_size(16)));
using Int16x8 = int16_t __attribute__((vector_size(16)));
using UInt16x8 = uint16_t __attribute__((vector_size(16)));
using Float32x4 = float __attribute__((vector_size(16)));

struct V {
  static constexpr int kLanes = 4;
  using Ints = Int32x4;
  using Reals = Float32x4;
  using Raw = UInt16x8;
  using Weights = Int16x8;

  template <int kBits>
  struct Format {
    static constexpr int kDigits = 2, kHalves = kBits == 4 ? 4 : 2, kSteps = 0;

    // Of words of two bytes in memory, whatever their order in the CPU: numbers 0 and 2 of four
    // neighbours are in the first, then 1 and 3.
    static Weights unpack(Raw raw, int half) {
      const bool second = (half % 2 != 0) == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
      const auto shift = static_cast<uint16_t>((second ? 8 : 0) + (half >= 2 ? 4 : 0));
      return reinterpret_cast<Weights>((raw >> shift) & uint16_t{kBits == 4 ? 15 : 255});
    }
    static void add(Ints& sum, Weights weights, int32_t word) {
      const Ints data = Ints{} + word;
#if defined(__SSE2__)
      sum += reinterpret_cast<Ints>(
          __builtin_ia32_pmaddwd128(weights, reinterpret_cast<Int16x8>(data)));
#else
      const auto pairs = reinterpret_cast<Ints>(weights);
      sum += (pairs << 16 >> 16) * (data << 16 >> 16) + (pairs >> 16) * (data >> 16);
#endif
    }
    static Ints high(const Ints (&sums)[kDigits]) { return sums[0]; }
    static Ints low(const Ints (&sums)[kDigits]) { return sums[1]; }
    // The planes of two digits; of each four numbers the first and third, then the others.
    static void write(const int32_t* integers, int64_t padded, std::byte* to) {
      auto* digit = reinterpret_cast<int16_t*>(to);
      for (int64_t i = 0; i < padded; i += 4) {
        for (int64_t j = 0; j < 4; ++j) {
          const int32_t integer = integers[i + j / 2 + j % 2 * 2];
          const int32_t high = (integer + 128) >> 8;
          digit[i + j] = static_cast<int16_t>(high);
          digit[padded + i + j] = static_cast<int16_t>(integer - high * 256);
        }
      }
    }
  };

  template <typename T>
  static T from(const void* bytes) {
    T result;
    __builtin_memcpy(&result, bytes, sizeof(result));
    return result;
  }
  static Raw load(const uint8_t* bytes) { return from<Raw>(bytes); }
  static Ints zero() { return Ints{}; }
  static Ints splat(int32_t x) { return Ints{} + x; }
  static Ints load_zeros(const uint8_t* zeros) {
    return Ints{zeros[0], zeros[1], zeros[2], zeros[3]};
  }
  static Ints multiply(Ints a, int32_t x) { return a * x; }
  static Ints add(Ints a, Ints b) { return a + b; }
  static void widen(Ints& sum, Ints narrow) { sum += narrow; }

  static Reals real_zero() { return Reals{}; }
  static Reals load_reals(const float* reals) { return from<Reals>(reals); }
  static Reals add(Reals a, Reals b) { return a + b; }
  static Reals multiply(Reals a, Reals b) { return a * b; }
  static Reals splat(float x) { return Reals{x, x, x, x}; }
  // high * factor + low, rounded once: f32 holds the integers, and `factor` is a power of two.
  static Reals join(Ints high, Ints low, float factor) {
    return __builtin_convertvector(high, Reals) * factor + __builtin_convertvector(low, Reals);
  }
  // The lower eight bits of the high integer move to the low one.
  static void carry(Ints& high, Ints& low) {
    low += (high & 255) << 8;
    high >>= 8;
  }
  static void store(Reals lanes, float low, float high, float* out, int64_t count) {
    for (int j = 0; j < kLanes && j < count; ++j) {
      const float x = lanes[j];
      out[j] = x < low ? low : (x > high ? high : x);
    }
  }
};

// Sixteen sums.
constexpr int kTileRows = 2, kTilePanels = 1, kRowPanels = 1, kPrefetchBytes = 2048;

#include "kernels/packed_float_round.inl"
#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
