// AVX-512 VNNI: vpdpbusd adds four products of u8 and s8 to each int32 without saturation.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <utility>

#include "kernels/micro.h"

namespace nibble {
namespace {

struct V {
  static constexpr int kLanes = 16;
  static constexpr int64_t kQuadBytes = 64;
  using Acc = __m512i;
  using Weights = __m512i;
  using Quad = __m512i;
  using Real = __m512;

  static Acc load_bias(const int32_t* bias) { return _mm512_loadu_si512(bias); }
  static Real load_real(const float* real) { return _mm512_loadu_ps(real); }
  static Weights load_weights(const std::byte* weights) { return _mm512_load_si512(weights); }
  static Quad load_quad(const uint8_t* input) {
    int32_t quad;
    __builtin_memcpy(&quad, input, 4);
    return _mm512_set1_epi32(quad);
  }
  static Acc dot(Acc acc, Quad quad, Weights weights) {
    return _mm512_dpbusd_epi32(acc, quad, weights);
  }
  static __mmask16 mask(int64_t left) {
    return left >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1U << left) - 1U);
  }
  static void store_codes(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier);
    const __m512 above = _mm512_max_ps(scaled, _mm512_set1_ps(stage.low));
    const __m512 inside = _mm512_min_ps(above, _mm512_set1_ps(stage.high));
    const __m512i code =
        _mm512_add_epi32(_mm512_cvtps_epi32(inside), _mm512_set1_epi32(stage.zero_point));
    if (left >= kLanes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_cvtepi32_epi8(code));
    } else {
      _mm512_mask_cvtepi32_storeu_epi8(out, mask(left), code);
    }
  }
  static void store_reals(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier);
    const __m512 above = _mm512_max_ps(_mm512_set1_ps(stage.low), scaled);
    const __m512 inside = _mm512_min_ps(_mm512_set1_ps(stage.high), above);
    _mm512_mask_storeu_ps(out, mask(left), inside);
  }
};

#include "kernels/micro_simd.inl"

// 14 + 1 + 1, 24 + 2 + 1 and 24 + 4 + 1 of the 32 registers.
MicroKernels::Tile find(int pixels, int blocks) {
  switch (blocks) {
    case 1:
      return pick<1>(pixels, std::make_integer_sequence<int, 14>());
    case 2:
      return pick<2>(pixels, std::make_integer_sequence<int, 12>());
    default:
      return pick<4>(pixels, std::make_integer_sequence<int, 6>());
  }
}

constexpr MicroKernels kKernels = {.lanes = V::kLanes,
                                   .format = WeightFormat::quads_s8,
                                   .max_pixels = {14, 12, 0, 6},
                                   .tile = find};

}  // namespace

const MicroKernels& micro_kernels_avx512() { return kKernels; }

}  // namespace nibble
#endif
