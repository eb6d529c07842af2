// Products of 16-bit data with packed weights on AVX2: 16 lanes are two registers.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/packed_int16.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  struct Sums {
    __m256i low, high;
  };
  using Weights = Sums;  // pairs of 16 bits
  struct Reals {
    __m256 low, high;
  };

  static Sums zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Reals real_zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Weights weights8(const uint8_t* bytes) {
    const auto* from = reinterpret_cast<const __m128i*>(bytes);
    return {_mm256_cvtepi8_epi16(_mm_load_si128(from)),
            _mm256_cvtepi8_epi16(_mm_load_si128(from + 1))};
  }
  static __m256i pairs_of(__m128i bytes) {
    const __m256i pairs = _mm256_cvtepu8_epi32(bytes);
    return _mm256_and_si256(_mm256_or_si256(pairs, _mm256_slli_epi32(pairs, 12)),
                            _mm256_set1_epi32(0xf000f));
  }
  static Weights weights4(const uint8_t* bytes) {
    const __m128i all = _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
    return {pairs_of(all), pairs_of(_mm_srli_si128(all, 8))};
  }
  static Sums add(const Sums& sums, const Weights& weights, int32_t pair) {
    const __m256i data = _mm256_set1_epi32(pair);
    return {_mm256_add_epi32(sums.low, _mm256_madd_epi16(weights.low, data)),
            _mm256_add_epi32(sums.high, _mm256_madd_epi16(weights.high, data))};
  }
  static __m256 add_half(__m256 total, __m256i sums, int32_t data, const int32_t* zero,
                         const float* scale) {
    const __m256i zeros = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(zero));
    const __m256i offset = _mm256_mullo_epi32(zeros, _mm256_set1_epi32(data));
    const __m256 exact = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, offset));
    return _mm256_add_ps(total, _mm256_mul_ps(exact, _mm256_loadu_ps(scale)));
  }
  static Reals add_block(const Reals& totals, const Sums& sums, int32_t data, const int32_t* zero,
                         const float* scale) {
    return {add_half(totals.low, sums.low, data, zero, scale),
            add_half(totals.high, sums.high, data, zero + 8, scale + 8)};
  }
  static __m256 finished(__m256 total, float scale, const float* bias) {
    return _mm256_add_ps(_mm256_mul_ps(total, _mm256_set1_ps(scale)), _mm256_loadu_ps(bias));
  }
  static void store(const Reals& totals, float scale, const float* bias, float* out,
                    int64_t count) {
    float values[16];
    float* to = count >= 16 ? out : values;
    _mm256_storeu_ps(to, finished(totals.low, scale, bias));
    _mm256_storeu_ps(to + 8, finished(totals.high, scale, bias + 8));
    for (int64_t j = 0; to != out && j < count; ++j) out[j] = values[j];
  }
};

constexpr int kTileRows = 4, kTilePanels = 1, kRowPanels = 4;

#include "kernels/packed_int16_tile.inl"
}  // namespace

template <>
const Int16Kernels& int16_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
