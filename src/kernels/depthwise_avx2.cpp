// AVX2: two taps of 32 channels are interleaved and widened to 16 bits for vpmaddwd, which is
// exact.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/depthwise.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kBlock = 32;
  static constexpr int kTaps = 2;
  using Acc = __m256i;

  static Acc load_acc(const int32_t* acc) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc));
  }
  static Acc load_weights(const std::byte* weights) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(weights));
  }
  template <bool kWhole>
  static __m256i load(const uint8_t* input, int64_t channels) {
    if constexpr (kWhole) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(input));
    alignas(32) uint8_t copy[kBlock] = {};
    __builtin_memcpy(copy, input, static_cast<size_t>(channels));
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(copy));
  }
  static void dot(Acc& acc, __m256i pairs, Acc weights) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, weights));
  }
  template <bool kWhole>
  static void add_taps(Acc (&acc)[4], const Acc (&weights)[4], const uint8_t* input,
                       const int64_t* taps, int64_t channels) {
    const __m256i zero = _mm256_setzero_si256();
    const __m256i a = load<kWhole>(input + taps[0], channels);
    const __m256i b = load<kWhole>(input + taps[1], channels);
    const __m256i low = _mm256_unpacklo_epi8(a, b);
    const __m256i high = _mm256_unpackhi_epi8(a, b);
    dot(acc[0], _mm256_unpacklo_epi8(low, zero), weights[0]);
    dot(acc[1], _mm256_unpackhi_epi8(low, zero), weights[1]);
    dot(acc[2], _mm256_unpacklo_epi8(high, zero), weights[2]);
    dot(acc[3], _mm256_unpackhi_epi8(high, zero), weights[3]);
  }
  static __m256i round(Acc acc, const float* multiplier, const StageArgs& stage) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(multiplier));
    return _mm256_cvtps_epi32(_mm256_min_ps(scaled, _mm256_set1_ps(stage.high)));
  }
  // The packs saturate, and undo the interleaving.
  template <bool kWhole>
  static void store_codes(const Acc (&acc)[4], const float* multiplier, const StageArgs& stage,
                          std::byte* out, int64_t channels) {
    const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(stage.zero_point));
    const __m256i qmin =
        _mm256_set1_epi8(static_cast<char>(static_cast<int32_t>(stage.low) + stage.zero_point));
    const __m256i left = _mm256_adds_epi16(
        _mm256_packs_epi32(round(acc[0], multiplier, stage), round(acc[1], multiplier + 8, stage)),
        zero);
    const __m256i right =
        _mm256_adds_epi16(_mm256_packs_epi32(round(acc[2], multiplier + 16, stage),
                                             round(acc[3], multiplier + 24, stage)),
                          zero);
    const __m256i codes = _mm256_max_epu8(_mm256_packus_epi16(left, right), qmin);
    if constexpr (kWhole) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), codes);
    } else {
      alignas(32) uint8_t copy[kBlock];
      _mm256_store_si256(reinterpret_cast<__m256i*>(copy), codes);
      __builtin_memcpy(out, copy, static_cast<size_t>(channels));
    }
  }
  static void store_reals(Acc acc, const float* multiplier, const StageArgs& stage, float* out) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(multiplier));
    const __m256 above = _mm256_max_ps(_mm256_set1_ps(stage.low), scaled);
    _mm256_storeu_ps(out, _mm256_min_ps(_mm256_set1_ps(stage.high), above));
  }
};

#include "kernels/depthwise_simd.inl"

constexpr DepthwiseKernels kKernels = {.block = V::kBlock, .taps = V::kTaps, .line = line};

}  // namespace

template <>
const DepthwiseKernels& depthwise_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
