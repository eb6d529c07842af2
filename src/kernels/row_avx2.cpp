#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/row_kernels.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 32;

// Shuffles look up 16 entries. A code that is not among them has its top bit set by the saturating
// sum, and finds zero.
int64_t look_up(const uint8_t* table, const uint8_t* in, uint8_t* out, int64_t n) {
  constexpr int kAtOnce = 4;
  int64_t i = 0;
  for (; i + kAtOnce * kVectorBytes <= n; i += kAtOnce * kVectorBytes) {
    __m256i codes[kAtOnce], found[kAtOnce];
    for (int v = 0; v < kAtOnce; ++v) {
      codes[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i + v * kVectorBytes));
      found[v] = _mm256_setzero_si256();
    }
    for (int part = 0; part < 16; ++part) {
      const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * part));
      const __m256i all = _mm256_broadcastsi128_si256(entries);
      const __m256i first = _mm256_set1_epi8(static_cast<char>(16 * part));
      for (int v = 0; v < kAtOnce; ++v) {
        const __m256i at =
            _mm256_adds_epu8(_mm256_xor_si256(codes[v], first), _mm256_set1_epi8(0x70));
        found[v] = _mm256_or_si256(found[v], _mm256_shuffle_epi8(all, at));
      }
    }
    for (int v = 0; v < kAtOnce; ++v) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i + v * kVectorBytes), found[v]);
    }
  }
  return i;
}

#include "kernels/row_simd.inl"
}  // namespace

template <>
const RowKernels& row_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
