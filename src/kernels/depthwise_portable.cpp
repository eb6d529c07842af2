// SSE2: two taps of 16 channels are interleaved and widened to 16 bits for pmaddwd, which is exact.
#if defined(__x86_64__)
#include <emmintrin.h>

#include "kernels/depthwise.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kBlock = 16;
  static constexpr int kTaps = 2;
  using Acc = __m128i;

  static Acc load_acc(const int32_t* acc) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(acc));
  }
  static Acc load_weights(const std::byte* weights) {
    return _mm_load_si128(reinterpret_cast<const __m128i*>(weights));
  }
  template <bool kWhole>
  static __m128i load(const uint8_t* input, int64_t channels) {
    if constexpr (kWhole) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(input));
    alignas(16) uint8_t copy[kBlock] = {};
    __builtin_memcpy(copy, input, static_cast<size_t>(channels));
    return _mm_load_si128(reinterpret_cast<const __m128i*>(copy));
  }
  static void dot(Acc& acc, __m128i pairs, Acc weights) {
    acc = _mm_add_epi32(acc, _mm_madd_epi16(pairs, weights));
  }
  template <bool kWhole>
  static void add_taps(Acc (&acc)[4], const Acc (&weights)[4], const uint8_t* input,
                       const int64_t* taps, int64_t channels) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i a = load<kWhole>(input + taps[0], channels);
    const __m128i b = load<kWhole>(input + taps[1], channels);
    const __m128i low = _mm_unpacklo_epi8(a, b);
    const __m128i high = _mm_unpackhi_epi8(a, b);
    dot(acc[0], _mm_unpacklo_epi8(low, zero), weights[0]);
    dot(acc[1], _mm_unpackhi_epi8(low, zero), weights[1]);
    dot(acc[2], _mm_unpacklo_epi8(high, zero), weights[2]);
    dot(acc[3], _mm_unpackhi_epi8(high, zero), weights[3]);
  }
  static __m128i round(Acc acc, const float* multiplier, const StageArgs& stage) {
    const __m128 scaled = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm_loadu_ps(multiplier));
    return _mm_cvtps_epi32(_mm_min_ps(scaled, _mm_set1_ps(stage.high)));
  }
  // The packs saturate, and undo the interleaving.
  template <bool kWhole>
  static void store_codes(const Acc (&acc)[4], const float* multiplier, const StageArgs& stage,
                          std::byte* out, int64_t channels) {
    const __m128i zero = _mm_set1_epi16(static_cast<int16_t>(stage.zero_point));
    const __m128i qmin =
        _mm_set1_epi8(static_cast<char>(static_cast<int32_t>(stage.low) + stage.zero_point));
    const __m128i left = _mm_adds_epi16(
        _mm_packs_epi32(round(acc[0], multiplier, stage), round(acc[1], multiplier + 4, stage)),
        zero);
    const __m128i right = _mm_adds_epi16(_mm_packs_epi32(round(acc[2], multiplier + 8, stage),
                                                         round(acc[3], multiplier + 12, stage)),
                                         zero);
    const __m128i codes = _mm_max_epu8(_mm_packus_epi16(left, right), qmin);
    if constexpr (kWhole) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), codes);
    } else {
      alignas(16) uint8_t copy[kBlock];
      _mm_store_si128(reinterpret_cast<__m128i*>(copy), codes);
      __builtin_memcpy(out, copy, static_cast<size_t>(channels));
    }
  }
  static void store_reals(Acc acc, const float* multiplier, const StageArgs& stage, float* out) {
    const __m128 scaled = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm_loadu_ps(multiplier));
    const __m128 above = _mm_max_ps(_mm_set1_ps(stage.low), scaled);
    _mm_storeu_ps(out, _mm_min_ps(_mm_set1_ps(stage.high), above));
  }
};

#include "kernels/depthwise_simd.inl"

constexpr DepthwiseKernels kKernels = {.block = V::kBlock, .taps = V::kTaps, .line = line};

}  // namespace

template <>
const DepthwiseKernels& depthwise_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
#endif
