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
  static Scale scale(float scale, int32_t zero) {
    return {_mm512_set1_ps(scale), _mm512_set1_epi32(zero)};
  }
  static Lanes load(const float* from) { return _mm512_loadu_ps(from); }
  static Lanes weight(__m512i code, const Scale& s) {
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(code, s.zero)), s.scale);
  }
  static Lanes weights8(const uint8_t* bytes, const Scale& s) {
    return weight(_mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes))), s);
  }
  static Lanes weights4(const uint8_t* bytes, int half, const Scale& s) {
    const __m512i pairs =
        _mm512_cvtepu8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(bytes)));
    return weight(
        half == 0 ? _mm512_and_si512(pairs, _mm512_set1_epi32(15)) : _mm512_srli_epi32(pairs, 4),
        s);
  }
  static Lanes add_product(const Lanes& sum, const Lanes& a, const Lanes& b) {
    return _mm512_add_ps(sum, _mm512_mul_ps(a, b));
  }
  static float sum(const Lanes& lanes) {
    const __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(lanes), _mm512_extractf32x8_ps(lanes, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
};

// Sixteen accumulators, four registers of data, one of weights.
constexpr int kTileRows = 4, kTileOutputs = 4;

#include "kernels/packed_float_tile.inl"
}  // namespace

const PackedKernels& packed_kernels_avx512() { return kKernels; }

}  // namespace nibble
#endif
