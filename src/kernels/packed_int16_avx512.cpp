// Products of 16-bit data with packed weights on AVX-512 VNNI.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/packed_int16.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  using Sums = __m512i;
  using Reals = __m512;
  using Weights = __m512i;  // pairs of 16 bits

  static Sums zero() { return _mm512_setzero_si512(); }
  static Reals real_zero() { return _mm512_setzero_ps(); }
  static Weights weights8(const uint8_t* bytes) {
    return _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i*>(bytes)));
  }
  static Weights weights4(const uint8_t* bytes) {
    const __m512i pairs =
        _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
    const __m512i second = _mm512_slli_epi32(pairs, 12);
    return _mm512_and_si512(_mm512_or_si512(pairs, second), _mm512_set1_epi32(0xf000f));
  }
  static Sums add(Sums sums, Weights weights, int32_t pair) {
    return _mm512_dpwssd_epi32(sums, weights, _mm512_set1_epi32(pair));
  }
  static Reals add_block(Reals totals, Sums sums, int32_t data, const int32_t* zero,
                         const float* scale) {
    const __m512i offset = _mm512_mullo_epi32(_mm512_loadu_si512(zero), _mm512_set1_epi32(data));
    const __m512 exact = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, offset));
    return _mm512_add_ps(totals, _mm512_mul_ps(exact, _mm512_loadu_ps(scale)));
  }
  static void store(Reals totals, float scale, const float* bias, float* out, int64_t count) {
    const __m512 product = _mm512_mul_ps(totals, _mm512_set1_ps(scale));
    const auto mask = static_cast<__mmask16>(count >= 16 ? 0xffffU : (1U << count) - 1);
    _mm512_mask_storeu_ps(out, mask, _mm512_add_ps(product, _mm512_loadu_ps(bias)));
  }
};

// One row needs eight panels for as many sums as hide the latency of a product.
constexpr int kTileRows = 4, kTilePanels = 2, kRowPanels = 8;

#include "kernels/packed_int16_tile.inl"
}  // namespace

template <>
const Int16Kernels& int16_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
