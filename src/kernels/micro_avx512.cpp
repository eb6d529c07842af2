// AVX-512 VNNI: vpdpbusd adds four products of u8 and s8 to each int32 without saturation. Weights
// of four bits are multiplied where they stand in a byte, times 16: a mask and not a subtraction
// makes bytes of them, and the sums are shifted back at the end.
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
  static constexpr int kLanes = 16;
  static constexpr WeightFormat kFormat = WeightFormat::quads_s8;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, kLanes, 1);
  using Acc = __m512i;
  using Weights = __m512i;
  using Quad = __m512i;
  using Real = __m512;

  static Acc load_bias(const int32_t* bias) { return _mm512_loadu_si512(bias); }
  static Acc add(Acc acc, int32_t addend) {
    return _mm512_add_epi32(acc, _mm512_set1_epi32(addend));
  }
  static Real load_real(const float* real) { return _mm512_loadu_ps(real); }
  static Weights load_weights(const std::byte* weights) { return _mm512_load_si512(weights); }
  static Quad load_quad(const uint8_t* input) {
    int32_t quad;
    __builtin_memcpy(&quad, input, 4);
    return _mm512_set1_epi32(quad);
  }
  static Acc dot(Acc acc, Quad quad, Weights weights) {
    // Not the intrinsic, for which GCC 12 copies and spills accumulators in large tiles.
    asm("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(quad), "v"(weights));
    return acc;
  }
  static __mmask16 mask(int64_t left) {
    return left >= kLanes ? __mmask16{0xffff} : static_cast<__mmask16>((1U << left) - 1U);
  }
  // Rounds, and clamps at the high end, where the conversion would overflow to the other side.
  static __m512i round(Acc acc, Real multiplier, __m512 high) {
    return _mm512_cvtps_epi32(
        _mm512_min_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier), high));
  }
  // The accumulators, pixel by pixel, go out four at a time: the saturating packs do the rest of
  // the clamp, and leave the codes of each vector in every fourth group of four bytes. The indices
  // are template arguments: GCC 12 keeps the accumulators in memory otherwise.
  template <int kFirst, int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_quarter(const Acc (&acc)[kPixels][kBlocks],
                                          const Real (&multipliers)[kBlocks],
                                          const TileArgs& args) {
    constexpr int kLast = kPixels * kBlocks - 1;
    constexpr int k1 = kFirst + 1 < kLast ? kFirst + 1 : kLast;
    constexpr int k2 = kFirst + 2 < kLast ? kFirst + 2 : kLast;
    constexpr int k3 = kFirst + 3 < kLast ? kFirst + 3 : kLast;
    const __m512 high = _mm512_set1_ps(args.stage.high);
    const __m512i zero = _mm512_set1_epi16(static_cast<int16_t>(args.stage.zero_point));
    const __m512i qmin = _mm512_set1_epi8(
        static_cast<char>(static_cast<int32_t>(args.stage.low) + args.stage.zero_point));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i a =
        round(acc[kFirst / kBlocks][kFirst % kBlocks], multipliers[kFirst % kBlocks], high);
    const __m512i b = round(acc[k1 / kBlocks][k1 % kBlocks], multipliers[k1 % kBlocks], high);
    const __m512i c = round(acc[k2 / kBlocks][k2 % kBlocks], multipliers[k2 % kBlocks], high);
    const __m512i d = round(acc[k3 / kBlocks][k3 % kBlocks], multipliers[k3 % kBlocks], high);
    const __m512i left = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero);
    const __m512i right = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero);
    const __m512i codes = _mm512_max_epu8(_mm512_packus_epi16(left, right), qmin);
    store_four<kPixels, kBlocks>(_mm512_permutexvar_epi32(order, codes), kFirst, args);
  }
  template <int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_codes(const Acc (&acc)[kPixels][kBlocks],
                                        const Real (&multipliers)[kBlocks], const TileArgs& args) {
    [&]<int... kQuarter>(std::integer_sequence<int, kQuarter...>) __attribute__((always_inline)) {
      (store_quarter<kQuarter * 4>(acc, multipliers, args), ...);
    }
    (std::make_integer_sequence<int, (kPixels * kBlocks + 3) / 4>());
  }
  // Codes of the vectors first .. first + 3, 16 bytes each.
  template <int kPixels, int kBlocks>
  NIBBLE_INLINE static void store_four(__m512i codes, int first, const TileArgs& args) {
    std::byte* out = args.output + first / kBlocks * args.output_step;
    if constexpr (kBlocks == 4) {
      if (args.channels >= 64) {
        _mm512_storeu_si512(out, codes);
      } else {
        const __mmask64 mask = (uint64_t{1} << args.channels) - 1;
        _mm512_mask_storeu_epi8(out, mask, codes);
      }
    } else if constexpr (kBlocks == 2) {
      const __mmask32 mask =
          args.channels >= 32 ? ~uint32_t{0} : (uint32_t{1} << args.channels) - 1;
      _mm256_mask_storeu_epi8(out, mask, _mm512_castsi512_si256(codes));
      if (first / 2 + 1 < kPixels)
        _mm256_mask_storeu_epi8(out + args.output_step, mask, _mm512_extracti64x4_epi64(codes, 1));
    } else {
      const __mmask16 part = mask(args.channels);
      _mm_mask_storeu_epi8(out, part, _mm512_castsi512_si128(codes));
      if (first + 1 < kPixels)
        _mm_mask_storeu_epi8(out + args.output_step, part, _mm512_extracti32x4_epi32(codes, 1));
      if (first + 2 < kPixels)
        _mm_mask_storeu_epi8(out + 2 * args.output_step, part, _mm512_extracti32x4_epi32(codes, 2));
      if (first + 3 < kPixels)
        _mm_mask_storeu_epi8(out + 3 * args.output_step, part, _mm512_extracti32x4_epi32(codes, 3));
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

struct Nibbles {
  static constexpr WeightFormat kFormat = WeightFormat::nibbles;
  static constexpr int64_t kQuadBytes = format_bytes(kFormat, V::kLanes, 1);
  static constexpr int kShift = 4;

  // 16 * w, of w + 8 in the high four bits.
  static __m512i shifted(__m512i nibbles) {
    constexpr int kAndXor = ((0xf0 & 0xcc) ^ 0xaa) & 0xff;
    return _mm512_ternarylogic_epi32(nibbles, _mm512_set1_epi8(static_cast<char>(0xf0)),
                                     _mm512_set1_epi8(static_cast<char>(0x80)), kAndXor);
  }
  template <int kPixels, int kBlocks>
  static void start(__m512i (&acc)[kPixels][kBlocks], const TileArgs&) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) acc[p][b] = _mm512_setzero_si512();
    }
  }
  template <int kPixels, int kBlocks>
  static void finish(__m512i (&acc)[kPixels][kBlocks], const TileArgs& args) {
    NIBBLE_UNROLL
    for (int b = 0; b < kBlocks; ++b) {
      const __m512i bias = V::load_bias(args.bias + b * V::kLanes);
      NIBBLE_UNROLL
      for (int p = 0; p < kPixels; ++p)
        acc[p][b] = _mm512_add_epi32(_mm512_srai_epi32(acc[p][b], kShift), bias);
    }
  }
  template <int kPixels, int kBlocks>
  static void add_quad(__m512i (&acc)[kPixels][kBlocks], const uint8_t* input, int64_t step,
                       const __m512i (&weights)[kBlocks]) {
    NIBBLE_UNROLL
    for (int p = 0; p < kPixels; ++p) {
      const __m512i quad = V::load_quad(input + p * step);
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b) acc[p][b] = V::dot(acc[p][b], quad, weights[b]);
    }
  }
  // The last byte of an odd number of quads holds one weight.
  template <int kPixels, int kBlocks>
  static void add_segment(__m512i (&acc)[kPixels][kBlocks], const uint8_t* input,
                          const std::byte* weights, const TileArgs& args) {
    for (int64_t quads = args.quads; quads > 0; quads -= 2) {
      __m512i w[kBlocks];
      NIBBLE_UNROLL
      for (int b = 0; b < kBlocks; ++b)
        w[b] = shifted(_mm512_slli_epi16(V::load_weights(weights + b * args.block_step), 4));
      add_quad<kPixels, kBlocks>(acc, input, args.pixel_step, w);
      if (quads > 1) {
        NIBBLE_UNROLL
        for (int b = 0; b < kBlocks; ++b)
          w[b] = shifted(V::load_weights(weights + b * args.block_step));
        add_quad<kPixels, kBlocks>(acc, input + 4, args.pixel_step, w);
      }
      input += 8;
      weights += kQuadBytes;
    }
  }
};

// 14 + 1 + 1, 24 + 2 + 1 and 24 + 4 + 1 of the 32 registers.
template <typename Products>
MicroForm::Tile find(int pixels, int blocks) {
  switch (blocks) {
    case 1:
      return pick<Products, 1>(pixels, std::make_integer_sequence<int, 14>());
    case 2:
      return pick<Products, 2>(pixels, std::make_integer_sequence<int, 12>());
    default:
      return pick<Products, 4>(pixels, std::make_integer_sequence<int, 6>());
  }
}

constexpr std::array<int, MicroForm::kMaxBlocks> kMaxPixels = {14, 12, 0, 6};
constexpr MicroForm kForms[] = {
    {.format = WeightFormat::nibbles,
     .shift = Nibbles::kShift,
     .max_pixels = kMaxPixels,
     .tile = find<Nibbles>},
    {.format = V::kFormat, .max_pixels = kMaxPixels, .tile = find<ByQuads<V>>}};
constexpr MicroKernels kKernels = {.lanes = V::kLanes, .forms = kForms};

}  // namespace

template <>
const MicroKernels& micro_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
