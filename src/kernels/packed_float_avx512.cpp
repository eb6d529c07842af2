// Products with packed weights on AVX-512 VNNI: vpdpbusd adds four products of codes and digits to
// each int32.
#if defined(__x86_64__)
#include <immintrin.h>

#include <utility>

#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kLanes = 16;
  using Ints = __m512i;
  using Reals = __m512;
  using Raw = __m512i;
  using Weights = __m512i;

  static __mmask16 mask(int64_t count) {
    return static_cast<__mmask16>(count >= 16 ? 0xffffU : (1U << count) - 1);
  }

  template <int kBits>
  struct Format {
    static constexpr int kDigits = 3, kHalves = kBits == 4 ? 2 : 1, kSteps = 0;

    static Weights unpack(Raw raw, int half) {
      if constexpr (kBits == 8) return raw;
      return _mm512_and_si512(half == 0 ? raw : _mm512_srli_epi16(raw, 4), _mm512_set1_epi8(15));
    }
    static void add(Ints& sum, Weights weights, int32_t word) {
      // Not the intrinsic, for which GCC 12 copies and spills sums in large tiles.
      asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(weights), "v"(_mm512_set1_epi32(word)));
    }
    static Ints high(const Ints (&sums)[kDigits]) {
      return _mm512_add_epi32(_mm512_slli_epi32(sums[0], 8), sums[1]);
    }
    static Ints low(const Ints (&sums)[kDigits]) { return sums[2]; }
    // The planes of three digits, most significant first; there are whole vectors of integers.
    static void write(const int32_t* integers, int64_t padded, std::byte* to) {
      const __m512i half = _mm512_set1_epi32(128);
      for (int64_t i = 0; i < padded; i += 16) {
        const __m512i low = _mm512_loadu_si512(integers + i);
        const __m512i middle = _mm512_srai_epi32(_mm512_add_epi32(low, half), 8);
        const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(middle, half), 8);
        const __mmask16 kept = mask(padded - i);
        _mm_mask_storeu_epi8(to + i, kept, _mm512_cvtepi32_epi8(high));
        _mm_mask_storeu_epi8(to + padded + i, kept, _mm512_cvtepi32_epi8(middle));
        _mm_mask_storeu_epi8(to + 2 * padded + i, kept, _mm512_cvtepi32_epi8(low));
      }
    }
  };

  static Raw load(const uint8_t* bytes) { return _mm512_load_si512(bytes); }
  static Ints zero() { return _mm512_setzero_si512(); }
  static Ints splat(int32_t x) { return _mm512_set1_epi32(x); }
  static Ints load_zeros(const uint8_t* zeros) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(zeros)));
  }
  static Ints multiply(Ints a, int32_t x) { return _mm512_mullo_epi32(a, _mm512_set1_epi32(x)); }
  static Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static void widen(Ints& sum, Ints narrow) { sum = _mm512_add_epi32(sum, narrow); }

  static Reals real_zero() { return _mm512_setzero_ps(); }
  static Reals load_reals(const float* from) { return _mm512_loadu_ps(from); }
  static Reals add(Reals a, Reals b) { return _mm512_add_ps(a, b); }
  static Reals multiply(Reals a, Reals b) { return _mm512_mul_ps(a, b); }
  static Reals splat(float x) { return _mm512_set1_ps(x); }
  // high * factor + low, rounded once: f32 holds the integers, and `factor` is a power of two.
  static Reals join(Ints high, Ints low, float factor) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), splat(factor), _mm512_cvtepi32_ps(low));
  }
  // The lower eight bits of the high integer move to the low one.
  static void carry(Ints& high, Ints& low) {
    const Ints bits = _mm512_and_si512(high, splat(255));
    low = _mm512_add_epi32(low, _mm512_slli_epi32(bits, 8));
    high = _mm512_srai_epi32(high, 8);
  }
  // The bound comes first, so that NaN stays.
  static void store(Reals lanes, float low, float high, float* out, int64_t count) {
    const __m512 bounded =
        _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), lanes));
    _mm512_mask_storeu_ps(out, mask(count), bounded);
  }
};

// 24 sums; the rest holds weights and data.
constexpr int kTileRows = 4, kTilePanels = 2, kRowPanels = 1, kPrefetchBytes = 2048;

#include "kernels/packed_float_round.inl"
#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
