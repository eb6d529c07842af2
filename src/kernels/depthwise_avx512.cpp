// AVX-512 VNNI: four taps of 64 channels are interleaved for vpdpbusd.
#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/depthwise.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kBlock = 64;
  static constexpr int kTaps = 4;
  using Acc = __m512i;

  static Acc load_acc(const int32_t* acc) { return _mm512_loadu_si512(acc); }
  static Acc load_weights(const std::byte* weights) { return _mm512_load_si512(weights); }
  static __mmask64 mask(int64_t channels) { return (uint64_t{1} << channels) - 1; }
  template <bool kWhole>
  static __m512i load(const uint8_t* input, int64_t channels) {
    if constexpr (kWhole) return _mm512_loadu_si512(input);
    return _mm512_maskz_loadu_epi8(mask(channels), input);
  }
  static void dot(Acc& acc, __m512i quads, Acc weights) {
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(quads), "v"(weights));
  }
  template <bool kWhole>
  static void add_taps(Acc (&acc)[4], const Acc (&weights)[4], const uint8_t* input,
                       const int64_t* taps, int64_t channels) {
    const __m512i a = load<kWhole>(input + taps[0], channels);
    const __m512i b = load<kWhole>(input + taps[1], channels);
    const __m512i c = load<kWhole>(input + taps[2], channels);
    const __m512i d = load<kWhole>(input + taps[3], channels);
    const __m512i ab_low = _mm512_unpacklo_epi8(a, b);
    const __m512i ab_high = _mm512_unpackhi_epi8(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi8(c, d);
    const __m512i cd_high = _mm512_unpackhi_epi8(c, d);
    dot(acc[0], _mm512_unpacklo_epi16(ab_low, cd_low), weights[0]);
    dot(acc[1], _mm512_unpackhi_epi16(ab_low, cd_low), weights[1]);
    dot(acc[2], _mm512_unpacklo_epi16(ab_high, cd_high), weights[2]);
    dot(acc[3], _mm512_unpackhi_epi16(ab_high, cd_high), weights[3]);
  }
  static __m512i round(Acc acc, const float* multiplier, const StageArgs& stage) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
    return _mm512_cvtps_epi32(_mm512_min_ps(scaled, _mm512_set1_ps(stage.high)));
  }
  // The packs saturate, and undo the interleaving: see store_quarter in micro_avx512.cpp.
  template <bool kWhole>
  static void store_codes(const Acc (&acc)[4], const float* multiplier, const StageArgs& stage,
                          std::byte* out, int64_t channels) {
    const __m512i zero = _mm512_set1_epi16(static_cast<int16_t>(stage.zero_point));
    const __m512i qmin =
        _mm512_set1_epi8(static_cast<char>(static_cast<int32_t>(stage.low) + stage.zero_point));
    const __m512i left = _mm512_adds_epi16(
        _mm512_packs_epi32(round(acc[0], multiplier, stage), round(acc[1], multiplier + 16, stage)),
        zero);
    const __m512i right =
        _mm512_adds_epi16(_mm512_packs_epi32(round(acc[2], multiplier + 32, stage),
                                             round(acc[3], multiplier + 48, stage)),
                          zero);
    const __m512i codes = _mm512_max_epu8(_mm512_packus_epi16(left, right), qmin);
    if constexpr (kWhole) {
      _mm512_storeu_si512(out, codes);
    } else {
      _mm512_mask_storeu_epi8(out, mask(channels), codes);
    }
  }
  static void store_reals(Acc acc, const float* multiplier, const StageArgs& stage, float* out) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multiplier));
    const __m512 above = _mm512_max_ps(_mm512_set1_ps(stage.low), scaled);
    _mm512_storeu_ps(out, _mm512_min_ps(_mm512_set1_ps(stage.high), above));
  }
};

#include "kernels/depthwise_simd.inl"

constexpr DepthwiseKernels kKernels = {.block = V::kBlock, .taps = V::kTaps, .line = line};

}  // namespace

template <>
const DepthwiseKernels& depthwise_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
