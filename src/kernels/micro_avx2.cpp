// AVX2. vpmaddubsw multiplies four bytes of each channel by four of s8 in one instruction, but adds
// pairs of products in 16 bits, which common weights overflow. Panels of weights for which that
// cannot happen use it, and add as many of its results in 16 bits as there is room for; all others
// are widened: the even and the odd bytes of a quad, as 16-bit numbers, meet 16-bit weights in
// vpmaddwd, which is exact.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cstddef>
#include <utility>

#include "kernels/micro.h"

// All loops over pixels and blocks are unrolled so that the accumulators live in registers.
#define NIBBLE_UNROLL _Pragma("GCC unroll 16")
// Of the parts of a tile, which several kernels share: called, they would find the accumulators in
// memory.
#define NIBBLE_INLINE [[gnu::always_inline]]

namespace nibble {
namespace {

struct V {
  static constexpr int kLanes = 8;
  using Acc = __m256i;
  using Real = __m256;

  static Acc load_bias(const int32_t* bias) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias));
  }
  static Acc add(Acc acc, int32_t addend) {
    return _mm256_add_epi32(acc, _mm256_set1_epi32(addend));
  }
  static Real load_real(const float* real) { return _mm256_loadu_ps(real); }
  // Rounds, and clamps at the high end, where the conversion would overflow to the other side.
  static __m256i round(Acc acc, Real multiplier, __m256 high) {
    return _mm256_cvtps_epi32(
        _mm256_min_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier), high));
  }
  // The accumulators, pixel by pixel, go out four at a time: the saturating packs do the rest of
  // the clamp, and leave the codes of each vector in two groups of four bytes.
  template <int kFirst, int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_quarter(const Acc (&acc)[kPixels][kBlocks],
                                          const Real (&multipliers)[kBlocks],
                                          const TileArgs& args) {
    constexpr int kLast = kPixels * kBlocks - 1;
    constexpr int k1 = kFirst + 1 < kLast ? kFirst + 1 : kLast;
    constexpr int k2 = kFirst + 2 < kLast ? kFirst + 2 : kLast;
    constexpr int k3 = kFirst + 3 < kLast ? kFirst + 3 : kLast;
    const __m256 high = _mm256_set1_ps(args.stage.high);
    const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(args.stage.zero_point));
    const __m256i qmin = _mm256_set1_epi8(
        static_cast<char>(static_cast<int32_t>(args.stage.low) + args.stage.zero_point));
    const __m256i a =
        round(acc[kFirst / kBlocks][kFirst % kBlocks], multipliers[kFirst % kBlocks], high);
    const __m256i b = round(acc[k1 / kBlocks][k1 % kBlocks], multipliers[k1 % kBlocks], high);
    const __m256i c = round(acc[k2 / kBlocks][k2 % kBlocks], multipliers[k2 % kBlocks], high);
    const __m256i d = round(acc[k3 / kBlocks][k3 % kBlocks], multipliers[k3 % kBlocks], high);
    const __m256i left = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero);
    const __m256i right = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero);
    const __m256i codes = _mm256_max_epu8(_mm256_packus_epi16(left, right), qmin);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    store_four<kFirst, kPixels, kBlocks>(_mm256_permutevar8x32_epi32(codes, order), args);
  }
  template <int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_codes(const Acc (&acc)[kPixels][kBlocks],
                                        const Real (&multipliers)[kBlocks], const TileArgs& args) {
    [&]<int... kQuarter>(std::integer_sequence<int, kQuarter...>) __attribute__((always_inline)) {
      (store_quarter<kQuarter * 4>(acc, multipliers, args), ...);
    }
    (std::make_integer_sequence<int, (kPixels * kBlocks + 3) / 4>());
  }
  // Codes of the vectors kFirst .. kFirst + 3, eight bytes each.
  template <int kFirst, int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_four(__m256i codes, const TileArgs& args) {
    constexpr int kStored = 4 / kBlocks;  // pixels
    constexpr int kPixel = kFirst / kBlocks;
    if (args.channels >= kBlocks * kLanes) {
      std::byte* out = args.output + kPixel * args.output_step;
      const __m128i low = _mm256_castsi256_si128(codes);
      const __m128i high = _mm256_extracti128_si256(codes, 1);
      if constexpr (kBlocks == 2) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), low);
        if constexpr (kPixel + 1 < kPixels)
          _mm_storeu_si128(reinterpret_cast<__m128i*>(out + args.output_step), high);
      } else {
        const int64_t step = args.output_step;
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), low);
        if constexpr (kPixel + 1 < kPixels)
          _mm_storeh_pd(reinterpret_cast<double*>(out + step), _mm_castsi128_pd(low));
        if constexpr (kPixel + 2 < kPixels)
          _mm_storel_epi64(reinterpret_cast<__m128i*>(out + 2 * step), high);
        if constexpr (kPixel + 3 < kPixels)
          _mm_storeh_pd(reinterpret_cast<double*>(out + 3 * step), _mm_castsi128_pd(high));
      }
      return;
    }
    alignas(32) std::byte bytes[32];
    _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), codes);
    for (int p = kPixel; p < kPixels && p < kPixel + kStored; ++p) {
      __builtin_memcpy(args.output + p * args.output_step, bytes + (p - kPixel) * kBlocks * kLanes,
                       static_cast<size_t>(args.channels));
    }
  }
  static void store_reals(Acc acc, Real multiplier, const StageArgs& stage, std::byte* out,
                          int64_t left) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
    const __m256 above = _mm256_max_ps(_mm256_set1_ps(stage.low), scaled);
    const __m256 inside = _mm256_min_ps(_mm256_set1_ps(stage.high), above);
    if (left >= kLanes) {
      _mm256_storeu_ps(reinterpret_cast<float*>(out), inside);
      return;
    }
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(reinterpret_cast<float*>(out),
                        _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(left)), lane),
                        inside);
  }
};

#include "kernels/micro_simd.inl"

__m256i load_bytes(const std::byte* bytes) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
}
__m256i broadcast_quad(const uint8_t* input) {
  int32_t quad;
  __builtin_memcpy(&quad, input, 4);
  return _mm256_set1_epi32(quad);
}

struct Widened {
  static constexpr WeightFormat kFormat = WeightFormat::pairs_s16;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, V::kLanes, 1);
  struct Weights {
    __m256i even;
    __m256i odd;
  };
  using Quad = Weights;

  static Weights load_weights(const std::byte* weights) {
    return {load_bytes(weights), load_bytes(weights + 32)};
  }
  static Quad load_quad(const uint8_t* input) {
    const __m256i bytes = broadcast_quad(input);
    return {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)};
  }
  static __m256i dot(__m256i acc, const Quad& quad, const Weights& weights) {
    const __m256i even = _mm256_madd_epi16(quad.even, weights.even);
    const __m256i odd = _mm256_madd_epi16(quad.odd, weights.odd);
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
  }
};

// One pair of products fits 16 bits.
struct Pairs {
  static constexpr WeightFormat kFormat = WeightFormat::quads_s8;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, V::kLanes, 1);
  using Weights = __m256i;
  using Quad = __m256i;

  static Weights load_weights(const std::byte* weights) { return load_bytes(weights); }
  static Quad load_quad(const uint8_t* input) { return broadcast_quad(input); }
  static __m256i dot(__m256i acc, Quad quad, Weights weights) {
    const __m256i pairs = _mm256_maddubs_epi16(quad, weights);
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

// The pairs of `run` quads fit 16 bits, where they are added.
template <int kPixels, int kBlocks>
void add_pairs(__m256i (&sums)[kPixels][kBlocks], const uint8_t* input, int64_t step,
               const __m256i (&weights)[kBlocks]) {
  NIBBLE_UNROLL
  for (int p = 0; p < kPixels; ++p) {
    const __m256i quad = broadcast_quad(input + p * step);
    NIBBLE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      // Not the intrinsics, for which GCC 12 copies every sum and spills in larger tiles.
      __m256i pairs;
      asm("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
          : "+x"(sums[p][b]), "=&x"(pairs)
          : "x"(quad), "x"(weights[b]));
    }
  }
}

struct BytesOfRun {
  static constexpr WeightFormat kFormat = WeightFormat::quads_s8;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, V::kLanes, 1);

  template <int kPixels, int kBlocks>
  static void add(__m256i (&sums)[kPixels][kBlocks], const uint8_t* input,
                  const std::byte*& weights, const TileArgs& args, int64_t quads) {
    for (; quads > 0; --quads) {
      __m256i w[kBlocks];
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) w[b] = load_bytes(weights + b * args.block_step);
      add_pairs<kPixels, kBlocks>(sums, input, args.pixel_step, w);
      input += 4;
      weights += kQuadBytes;
    }
  }
};

// Runs are of an even number of quads; the last one of a segment may not be.
struct NibblesOfRun {
  static constexpr WeightFormat kFormat = WeightFormat::nibbles;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, V::kLanes, 1);

  static __m256i first(__m256i nibbles) {
    return _mm256_sub_epi8(_mm256_and_si256(nibbles, _mm256_set1_epi8(15)), _mm256_set1_epi8(8));
  }
  template <int kPixels, int kBlocks>
  static void add(__m256i (&sums)[kPixels][kBlocks], const uint8_t* input,
                  const std::byte*& weights, const TileArgs& args, int64_t quads) {
    for (; quads > 0; quads -= 2) {
      __m256i w[kBlocks];
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) w[b] = first(load_bytes(weights + b * args.block_step));
      add_pairs<kPixels, kBlocks>(sums, input, args.pixel_step, w);
      if (quads > 1) {
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b)
          w[b] = first(_mm256_srli_epi16(load_bytes(weights + b * args.block_step), 4));
        add_pairs<kPixels, kBlocks>(sums, input + 4, args.pixel_step, w);
      }
      input += 8;
      weights += kQuadBytes;
    }
  }
};

template <typename How>
struct ByRuns : FromBias {
  static constexpr WeightFormat kFormat = How::kFormat;

  template <int kPixels, int kBlocks>
  static void add_segment(__m256i (&acc)[kPixels][kBlocks], const uint8_t* input,
                          const std::byte* weights, const TileArgs& args) {
    for (int64_t left = args.quads; left > 0; left -= args.run) {
      __m256i sums[kPixels][kBlocks];
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b) sums[p][b] = _mm256_setzero_si256();
      }
      How::template add<kPixels, kBlocks>(sums, input, weights, args,
                                          left < args.run ? left : args.run);
      input += 4 * args.run;
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p) {
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b)
          acc[p][b] =
              _mm256_add_epi32(acc[p][b], _mm256_madd_epi16(sums[p][b], _mm256_set1_epi16(1)));
      }
    }
  }
};

template <typename Products, int kMost>
MicroForm::Tile find(int pixels, int blocks) {
  return blocks == 1 ? pick<Products, 1>(pixels, std::make_integer_sequence<int, 6>())
                     : pick<Products, 2>(pixels, std::make_integer_sequence<int, kMost>());
}

// Of the 16 registers: 8 accumulators, 2 + 2 of quads and weights, 1 or 2 between. Sums of runs
// need no 32-bit accumulators beside them: those wait in memory.
constexpr MicroForm kForms[] = {{.format = WeightFormat::nibbles,
                                 .least_run = 4,
                                 .max_pixels = {6, 5, 0, 0},
                                 .tile = find<ByRuns<NibblesOfRun>, 5>},
                                {.format = WeightFormat::quads_s8,
                                 .least_run = 4,
                                 .max_pixels = {6, 6, 0, 0},
                                 .tile = find<ByRuns<BytesOfRun>, 6>},
                                {.format = WeightFormat::quads_s8,
                                 .least_run = 1,
                                 .max_pixels = {6, 4, 0, 0},
                                 .tile = find<ByQuads<Pairs>, 4>},
                                {.format = WeightFormat::pairs_s16,
                                 .max_pixels = {6, 4, 0, 0},
                                 .tile = find<ByQuads<Widened>, 4>}};
constexpr MicroKernels kKernels = {.lanes = V::kLanes, .forms = kForms};

}  // namespace

template <>
const MicroKernels& micro_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
