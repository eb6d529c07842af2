#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/row_kernels.h"

namespace nibble {
namespace {

constexpr int kVectorBytes = 64;

// Shuffles look up 16 entries. A code that is not among them has its top bit set by the saturating
// sum, and finds zero.
int64_t look_up(const uint8_t* table, const uint8_t* in, uint8_t* out, int64_t n) {
  constexpr int kAtOnce = 4;
  int64_t i = 0;
  for (; i + kAtOnce * kVectorBytes <= n; i += kAtOnce * kVectorBytes) {
    __m512i codes[kAtOnce], found[kAtOnce];
    for (int v = 0; v < kAtOnce; ++v) {
      codes[v] = _mm512_loadu_si512(in + i + v * kVectorBytes);
      found[v] = _mm512_setzero_si512();
    }
    for (int part = 0; part < 16; ++part) {
      const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * part));
      const __m512i all = _mm512_broadcast_i32x4(entries);
      const __m512i first = _mm512_set1_epi8(static_cast<char>(16 * part));
      for (int v = 0; v < kAtOnce; ++v) {
        const __m512i at =
            _mm512_adds_epu8(_mm512_xor_si512(codes[v], first), _mm512_set1_epi8(0x70));
        found[v] = _mm512_or_si512(found[v], _mm512_shuffle_epi8(all, at));
      }
    }
    for (int v = 0; v < kAtOnce; ++v) _mm512_storeu_si512(out + i + v * kVectorBytes, found[v]);
  }
  return i;
}

#include "kernels/row_simd.inl"
}  // namespace

template <>
const RowKernels& row_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
