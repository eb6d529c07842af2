// AVX2. vpmaddubsw would saturate at 16 bits for common weights, so bytes are widened: the even and
// the odd bytes of a quad, as 16-bit numbers, meet 16-bit weights in vpmaddwd, which is exact.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <utility>

#include "kernels/micro.h"

// All loops over pixels and blocks are unrolled so that the accumulators live in registers.
#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kLanes = 8;
  static constexpr int64_t kQuadBytes = 64;
  using Acc = __m256i;
  struct Weights {
    __m256i even;
    __m256i odd;
  };
  struct Quad {
    __m256i even;
    __m256i odd;
  };
  using Real = __m256;

  static Acc load_bias(const int32_t* bias) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias));
  }
  static Acc add(Acc acc, int32_t addend) {
    return _mm256_add_epi32(acc, _mm256_set1_epi32(addend));
  }
  static Real load_real(const float* real) { return _mm256_loadu_ps(real); }
  static Weights load_weights(const std::byte* weights) {
    const auto* at = reinterpret_cast<const __m256i*>(weights);
    return {_mm256_load_si256(at), _mm256_load_si256(at + 1)};
  }
  static Quad load_quad(const uint8_t* input) {
    int32_t quad;
    __builtin_memcpy(&quad, input, 4);
    const __m256i bytes = _mm256_set1_epi32(quad);
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
  }
  static Acc dot(Acc acc, const Quad& quad, const Weights& weights) {
    const __m256i even = _mm256_madd_epi16(quad.even, weights.even);
    const __m256i odd = _mm256_madd_epi16(quad.odd, weights.odd);
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
  }
  static void store_block(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
    const __m256 above = _mm256_max_ps(scaled, _mm256_set1_ps(stage.low));
    const __m256 inside = _mm256_min_ps(above, _mm256_set1_ps(stage.high));
    const __m256i code =
        _mm256_add_epi32(_mm256_cvtps_epi32(inside), _mm256_set1_epi32(stage.zero_point));
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(code), _mm256_extracti128_si256(code, 1));
    const auto bytes = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
    if (left >= kLanes) {
      __builtin_memcpy(out, &bytes, 8);
    } else {
      for (int64_t i = 0; i < left; ++i) out[i] = static_cast<std::byte>(bytes >> (8 * i));
    }
  }
  template <int kPixels, int kBlocks>
  static void store_codes(const Acc (&acc)[kPixels][kBlocks], const Real (&multipliers)[kBlocks],
                          const TileArgs& args) {
    NIBBLE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p)
        store_block(acc[p][b], multipliers[b], args.stage,
                    args.output + p * args.output_step + b * kLanes, args.channels - b * kLanes);
    }
  }
  static void store_reals(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
    const __m256 above = _mm256_max_ps(_mm256_set1_ps(stage.low), scaled);
    const __m256 inside = _mm256_min_ps(_mm256_set1_ps(stage.high), above);
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const auto count = static_cast<int32_t>(left < kLanes ? left : kLanes);
    _mm256_maskstore_ps(reinterpret_cast<float*>(out),
                        _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane), inside);
  }
};

#include "kernels/micro_simd.inl"

// 8 + 2 + 2 + 1 of the 16 registers; the second block's weights are read from memory.
MicroKernels::Tile find(int pixels, int blocks) {
  return blocks == 1 ? pick<1>(pixels, std::make_integer_sequence<int, 6>())
                     : pick<2>(pixels, std::make_integer_sequence<int, 4>());
}

constexpr MicroKernels kKernels = {.lanes = V::kLanes,
                                   .format = WeightFormat::pairs_s16,
                                   .max_pixels = {6, 4, 0, 0},
                                   .tile = find};

}  // namespace

template <>
const MicroKernels& micro_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
