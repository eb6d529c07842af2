// Products with packed weights on AVX-512. Product and sum are rounded apart, as everywhere.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  using Lanes = __m512;
  struct Scale {
    __m512 scale;
    __m512i zero;
  };

  static Lanes zero() { return _mm512_setzero_ps(); }
  static Lanes load(const float* from) { return _mm512_loadu_ps(from); }
  static Lanes splat(float x) { return _mm512_set1_ps(x); }
  static Scale scale(const float* scale, const int32_t* zero) {
    return {load(scale), _mm512_loadu_si512(zero)};
  }
  static Lanes weight(__m512i code, const Scale& s) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(code, s.zero)), s.scale);
  }
  static Lanes weights8(const uint8_t* bytes, const Scale& s) {
    const __m128i codes = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    return weight(_mm512_cvtepi8_epi32(codes), s);
  }
  static Lanes weights4(const uint8_t* bytes, int half, const Scale& s) {
    const __m128i codes = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m512i pairs = _mm512_cvtepu8_epi32(codes);
    return weight(
        half == 0 ? _mm512_and_si512(pairs, _mm512_set1_epi32(15)) : _mm512_srli_epi32(pairs, 4),
        s);
  }
  static Lanes add(const Lanes& a, const Lanes& b) { return _mm512_add_ps(a, b); }
  static Lanes add_product(const Lanes& sum, const Lanes& a, const Lanes& b) {
    return _mm512_add_ps(sum, _mm512_mul_ps(a, b));
  }
  // The bound comes first, so that NaN stays.
  static void store(const Lanes& lanes, float low, float high, float* out, int64_t count) {
    const __m512 bounded =
        _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), lanes));
    const auto mask = static_cast<__mmask16>(count >= 16 ? 0xffffU : (1U << count) - 1);
    _mm512_mask_storeu_ps(out, mask, bounded);
  }
};

// Sixteen accumulators; the rest holds scales, zero points and weights.
constexpr int kTileRows = 8, kTilePanels = 2;

#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
