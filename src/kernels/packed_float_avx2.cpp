// Products with packed weights on AVX2: 16 lanes are two registers. Product and sum are rounded
// apart, as everywhere.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  struct Lanes {
    __m256 low, high;
  };
  struct Scale {
    __m256 scale;
    __m256i zero;
  };

  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Scale scale(float scale, int32_t zero) {
    return {_mm256_set1_ps(scale), _mm256_set1_epi32(zero)};
  }
  static Lanes load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static __m256 weight(__m256i code, const Scale& s) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(code, s.zero)), s.scale);
  }
  static Lanes weights8(const uint8_t* bytes, const Scale& s) {
    const __m128i codes = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    return {weight(_mm256_cvtepi8_epi32(codes), s),
            weight(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)), s)};
  }
  static Lanes weights4(const uint8_t* bytes, int half, const Scale& s) {
    const __m128i pairs = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i nibbles = half == 0 ? pairs : _mm_srli_epi16(pairs, 4);
    const __m128i codes = _mm_and_si128(nibbles, _mm_set1_epi8(15));
    return {weight(_mm256_cvtepu8_epi32(codes), s),
            weight(_mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8)), s)};
  }
  static Lanes add_product(const Lanes& sum, const Lanes& a, const Lanes& b) {
    return {_mm256_add_ps(sum.low, _mm256_mul_ps(a.low, b.low)),
            _mm256_add_ps(sum.high, _mm256_mul_ps(a.high, b.high))};
  }
  static float sum(const Lanes& lanes) {
    const __m256 eight = _mm256_add_ps(lanes.low, lanes.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
};

// Eight accumulators, four registers of data, two of weights.
constexpr int kTileRows = 2, kTileOutputs = 2;

#include "kernels/packed_float_tile.inl"
}  // namespace

const PackedKernels& packed_kernels_avx2() { return kKernels; }

}  // namespace nibble
#endif
