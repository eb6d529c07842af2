// The compiler's baseline: SSE2 on x86-64 (the same scheme as micro_avx2.cpp), plain loops that
// compilers vectorize elsewhere.
#include <cstddef>
#include <utility>

#include "kernels/micro.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// All loops over pixels and blocks are unrolled so that the accumulators live in registers.
#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

#if defined(__SSE2__)
struct V {
  static constexpr int kLanes = 4;
  static constexpr WeightFormat kFormat = WeightFormat::pairs_s16;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, kLanes, 1);
  using Acc = __m128i;
  struct Weights {
    __m128i even;
    __m128i odd;
  };
  struct Quad {
    __m128i even;
    __m128i odd;
  };
  using Real = __m128;

  static Acc load_bias(const int32_t* bias) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bias));
  }
  static Acc add(Acc acc, int32_t addend) { return _mm_add_epi32(acc, _mm_set1_epi32(addend)); }
  static Real load_real(const float* real) { return _mm_loadu_ps(real); }
  static Weights load_weights(const std::byte* weights) {
    const auto* at = reinterpret_cast<const __m128i*>(weights);
    return {_mm_load_si128(at), _mm_load_si128(at + 1)};
  }
  static Quad load_quad(const uint8_t* input) {
    int32_t quad;
    __builtin_memcpy(&quad, input, 4);
    const __m128i bytes = _mm_set1_epi32(quad);
    return {_mm_and_si128(bytes, _mm_set1_epi16(0xff)), _mm_srli_epi16(bytes, 8)};
  }
  static Acc dot(Acc acc, const Quad& quad, const Weights& weights) {
    const __m128i even = _mm_madd_epi16(quad.even, weights.even);
    const __m128i odd = _mm_madd_epi16(quad.odd, weights.odd);
    return _mm_add_epi32(acc, _mm_add_epi32(even, odd));
  }
  static void store_block(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m128 scaled = _mm_mul_ps(_mm_cvtepi32_ps(acc), multiplier);
    const __m128 above = _mm_max_ps(scaled, _mm_set1_ps(stage.low));
    const __m128 inside = _mm_min_ps(above, _mm_set1_ps(stage.high));
    const __m128i code = _mm_add_epi32(_mm_cvtps_epi32(inside), _mm_set1_epi32(stage.zero_point));
    const __m128i words = _mm_packs_epi32(code, code);
    const auto bytes = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_packus_epi16(words, words)));
    if (left >= kLanes) {
      __builtin_memcpy(out, &bytes, 4);
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
    const __m128 scaled = _mm_mul_ps(_mm_cvtepi32_ps(acc), multiplier);
    const __m128 above = _mm_max_ps(_mm_set1_ps(stage.low), scaled);
    const __m128 inside = _mm_min_ps(_mm_set1_ps(stage.high), above);
    float reals[kLanes];
    _mm_storeu_ps(reals, inside);
    __builtin_memcpy(out, reals, static_cast<size_t>(left < kLanes ? left : kLanes) * 4);
  }
};
#else
struct V {
  static constexpr int kLanes = 4;
  static constexpr WeightFormat kFormat = WeightFormat::pairs_s16;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, kLanes, 1);
  // Unsigned: sums may wrap on the way to a total that fits.
  struct Acc {
    uint32_t lane[kLanes];
  };
  struct Weights {
    const int16_t* at;
  };
  struct Quad {
    int32_t byte[4];
  };
  struct Real {
    float lane[kLanes];
  };

  static Acc load_bias(const int32_t* bias) {
    Acc acc;
    for (int i = 0; i < kLanes; ++i) acc.lane[i] = static_cast<uint32_t>(bias[i]);
    return acc;
  }
  static Acc add(Acc acc, int32_t addend) {
    for (uint32_t& lane : acc.lane) lane += static_cast<uint32_t>(addend);
    return acc;
  }
  static Real load_real(const float* real) { return {{real[0], real[1], real[2], real[3]}}; }
  static Weights load_weights(const std::byte* weights) {
    return {reinterpret_cast<const int16_t*>(weights)};
  }
  static Quad load_quad(const uint8_t* input) { return {{input[0], input[1], input[2], input[3]}}; }
  static Acc dot(Acc acc, const Quad& quad, const Weights& weights) {
    for (int i = 0; i < kLanes; ++i) {
      const int16_t* even = weights.at + 2 * i;
      const int16_t* odd = even + 2 * kLanes;
      acc.lane[i] += static_cast<uint32_t>(quad.byte[0] * even[0] + quad.byte[2] * even[1] +
                                           quad.byte[1] * odd[0] + quad.byte[3] * odd[1]);
    }
    return acc;
  }
  static void store_block(const Acc& acc, const Real& multiplier, const StageArgs& stage,
                          std::byte* out, int64_t left) {
    for (int i = 0; i < kLanes && i < left; ++i) {
      const float scaled =
          static_cast<float>(static_cast<int32_t>(acc.lane[i])) * multiplier.lane[i];
      const float above = scaled > stage.low ? scaled : stage.low;
      const float inside = above < stage.high ? above : stage.high;
      const float rounded = (inside + 12582912.0F) - 12582912.0F;  // see round_clamped
      out[i] = static_cast<std::byte>(static_cast<int32_t>(rounded) + stage.zero_point);
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
  static void store_reals(const Acc& acc, const Real& multiplier, const StageArgs& stage,
                          std::byte* out, int64_t left) {
    for (int i = 0; i < kLanes && i < left; ++i) {
      const float scaled =
          static_cast<float>(static_cast<int32_t>(acc.lane[i])) * multiplier.lane[i];
      const float above = stage.low > scaled ? stage.low : scaled;
      const float inside = stage.high < above ? stage.high : above;
      __builtin_memcpy(out + 4 * i, &inside, 4);
    }
  }
};
#endif

#include "kernels/micro_simd.inl"

MicroForm::Tile find(int pixels, int blocks) {
  return blocks == 1 ? pick<ByQuads<V>, 1>(pixels, std::make_integer_sequence<int, 6>())
                     : pick<ByQuads<V>, 2>(pixels, std::make_integer_sequence<int, 4>());
}

constexpr MicroForm kForms[] = {{.format = V::kFormat, .max_pixels = {6, 4, 0, 0}, .tile = find}};
constexpr MicroKernels kKernels = {.lanes = V::kLanes, .forms = kForms};

}  // namespace

template <>
const MicroKernels& micro_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
