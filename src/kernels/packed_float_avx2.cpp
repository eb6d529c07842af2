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
    Lanes scale;
    __m256i zero_low, zero_high;
  };

  static Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Lanes load(const float* from) {
    return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)};
  }
  static Lanes splat(float x) {
    const __m256 lanes = _mm256_set1_ps(x);
    return {lanes, lanes};
  }
  static Scale scale(const float* scale, const int32_t* zero) {
    const auto* z = reinterpret_cast<const __m256i*>(zero);
    return {load(scale), _mm256_loadu_si256(z), _mm256_loadu_si256(z + 1)};
  }
  static __m256 weight(__m256i code, __m256i zero, __m256 scale) {
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(code, zero)), scale);
  }
  static Lanes weights8(const uint8_t* bytes, const Scale& s) {
    const __m128i codes = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    return {weight(_mm256_cvtepi8_epi32(codes), s.zero_low, s.scale.low),
            weight(_mm256_cvtepi8_epi32(_mm_srli_si128(codes, 8)), s.zero_high, s.scale.high)};
  }
  static Lanes weights4(const uint8_t* bytes, int half, const Scale& s) {
    const __m128i pairs = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    const __m128i nibbles = half == 0 ? pairs : _mm_srli_epi16(pairs, 4);
    const __m128i codes = _mm_and_si128(nibbles, _mm_set1_epi8(15));
    return {weight(_mm256_cvtepu8_epi32(codes), s.zero_low, s.scale.low),
            weight(_mm256_cvtepu8_epi32(_mm_srli_si128(codes, 8)), s.zero_high, s.scale.high)};
  }
  static Lanes add(const Lanes& a, const Lanes& b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static Lanes add_product(const Lanes& sum, const Lanes& a, const Lanes& b) {
    return {_mm256_add_ps(sum.low, _mm256_mul_ps(a.low, b.low)),
            _mm256_add_ps(sum.high, _mm256_mul_ps(a.high, b.high))};
  }
  // The bound comes first, so that NaN stays.
  static __m256 bounded(__m256 x, float low, float high) {
    return _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x));
  }
  static void store(const Lanes& lanes, float low, float high, float* out, int64_t count) {
    float values[16];
    float* to = count >= 16 ? out : values;
    _mm256_storeu_ps(to, bounded(lanes.low, low, high));
    _mm256_storeu_ps(to + 8, bounded(lanes.high, low, high));
    for (int64_t j = 0; to != out && j < count; ++j) out[j] = values[j];
  }
};

// Eight accumulators; the rest holds scales, zero points and weights.
constexpr int kTileRows = 4, kTilePanels = 1;

#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
