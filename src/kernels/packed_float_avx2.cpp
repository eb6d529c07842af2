// Products with packed weights on AVX2. Those of 4 bits meet digits of 8 bits: vpmaddubsw, whose
// sums fit 16 bits for a while. Those of 8 bits become pairs of 16 bits and meet digits of 16.
#if defined(__x86_64__)
#include <immintrin.h>

#include <utility>

#include "kernels/packed_float.h"

#define NIBBLE_UNROLL _Pragma("GCC unroll 16")

namespace nibble {
namespace {

struct V {
  static constexpr int kLanes = 8;
  using Ints = __m256i;
  using Reals = __m256;
  using Raw = __m256i;
  using Weights = __m256i;

  // The low byte of each integer.
  static void store_bytes(std::byte* to, __m256i integers) {
    const __m256i order = _mm256_set1_epi32(0x0c080400);
    const __m256i bytes = _mm256_shuffle_epi8(integers, order);
    const int32_t four[] = {_mm256_extract_epi32(bytes, 0), _mm256_extract_epi32(bytes, 4)};
    __builtin_memcpy(to, four, sizeof(four));
  }

  template <int kBits>
  struct Format {
    // Two products of 15 and 128 at most in each 16 bits, twice a step.
    static constexpr int kDigits = 3, kHalves = 2, kSteps = 4;
    static_assert(kSteps * 2 * 2 * 15 * 128 <= 32767);

    static Weights unpack(Raw raw, int half) {
      return _mm256_and_si256(half == 0 ? raw : _mm256_srli_epi16(raw, 4), _mm256_set1_epi8(15));
    }
    static void add(Ints& sum, Weights weights, int32_t word) {
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(weights, _mm256_set1_epi32(word)));
    }
    static Ints high(const Ints (&sums)[kDigits]) {
      return _mm256_add_epi32(_mm256_slli_epi32(sums[0], 8), sums[1]);
    }
    static Ints low(const Ints (&sums)[kDigits]) { return sums[2]; }
    // The planes of three digits, most significant first; `padded` is a multiple of eight.
    static void write(const int32_t* integers, int64_t padded, std::byte* to) {
      const __m256i half = _mm256_set1_epi32(128);
      for (int64_t i = 0; i < padded; i += 8) {
        const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(integers + i));
        const __m256i middle = _mm256_srai_epi32(_mm256_add_epi32(low, half), 8);
        const __m256i high = _mm256_srai_epi32(_mm256_add_epi32(middle, half), 8);
        store_bytes(to + i, high);
        store_bytes(to + padded + i, middle);
        store_bytes(to + 2 * padded + i, low);
      }
    }
  };

  static Raw load(const uint8_t* bytes) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
  }
  static Ints zero() { return _mm256_setzero_si256(); }
  static Ints splat(int32_t x) { return _mm256_set1_epi32(x); }
  static Ints load_zeros(const uint8_t* zeros) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(zeros)));
  }
  static Ints multiply(Ints a, int32_t x) { return _mm256_mullo_epi32(a, _mm256_set1_epi32(x)); }
  static Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
  static void widen(Ints& sum, Ints narrow) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(narrow, _mm256_set1_epi16(1)));
  }

  static Reals real_zero() { return _mm256_setzero_ps(); }
  static Reals load_reals(const float* from) { return _mm256_loadu_ps(from); }
  static Reals add(Reals a, Reals b) { return _mm256_add_ps(a, b); }
  static Reals multiply(Reals a, Reals b) { return _mm256_mul_ps(a, b); }
  static Reals splat(float x) { return _mm256_set1_ps(x); }
  // high * factor + low, rounded once: f32 holds the integers, and `factor` is a power of two.
  static Reals join(Ints high, Ints low, float factor) {
    const Reals scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(high), splat(factor));
    return _mm256_add_ps(scaled, _mm256_cvtepi32_ps(low));
  }
  // The lower eight bits of the high integer move to the low one.
  static void carry(Ints& high, Ints& low) {
    const Ints bits = _mm256_and_si256(high, splat(255));
    low = _mm256_add_epi32(low, _mm256_slli_epi32(bits, 8));
    high = _mm256_srai_epi32(high, 8);
  }
  // The bound comes first, so that NaN stays.
  static void store(Reals lanes, float low, float high, float* out, int64_t count) {
    const __m256 bounded =
        _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), lanes));
    if (count >= kLanes) return _mm256_storeu_ps(out, bounded);
    float values[kLanes];
    _mm256_storeu_ps(values, bounded);
    for (int64_t j = 0; j < count; ++j) out[j] = values[j];
  }
};

template <>
struct V::Format<8> {
  static constexpr int kDigits = 2, kHalves = 2, kSteps = 0;

  static Weights unpack(Raw raw, int half) {
    return half == 0 ? _mm256_and_si256(raw, _mm256_set1_epi16(255)) : _mm256_srli_epi16(raw, 8);
  }
  static void add(Ints& sum, Weights weights, int32_t word) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(weights, _mm256_set1_epi32(word)));
  }
  static Ints high(const Ints (&sums)[kDigits]) { return sums[0]; }
  static Ints low(const Ints (&sums)[kDigits]) { return sums[1]; }
  // The planes of two digits; of each four numbers the first and third, then the others.
  static void write(const int32_t* integers, int64_t padded, std::byte* to) {
    for (int64_t i = 0; i < padded; i += 4) {
      const __m128i four = _mm_shuffle_epi32(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(integers + i)), _MM_SHUFFLE(3, 1, 2, 0));
      const __m128i high = _mm_srai_epi32(_mm_add_epi32(four, _mm_set1_epi32(128)), 8);
      const __m128i low = _mm_sub_epi32(four, _mm_slli_epi32(high, 8));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 2 * i), _mm_packs_epi32(high, high));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 2 * (padded + i)),
                       _mm_packs_epi32(low, low));
    }
  }
};

// Twelve sums and eight; the rest holds weights and data.
constexpr int kTileRows = 2, kTilePanels = 1, kRowPanels = 1, kPrefetchBytes = 2048;

#include "kernels/packed_float_round.inl"
#include "kernels/packed_float_tile.inl"
}  // namespace

template <>
const PackedKernels& packed_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
