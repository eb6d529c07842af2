#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/survey.h"

namespace nibble {
namespace {

int64_t bins_of_vectors(float inverse, const float* in, int32_t* out, int64_t n, int64_t* done) {
  const __m512 by = _mm512_set1_ps(inverse), zero = _mm512_setzero_ps();
  int64_t count = 0, i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m512 value = _mm512_loadu_ps(in + i);
    const __mmask16 kept = _mm512_cmp_ps_mask(value, zero, _CMP_NEQ_OQ);
    __m512i bin = _mm512_cvt_roundps_epi32(_mm512_mul_ps(value, by),
                                           _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    // What underflows to zero has bin -1 if negative: all negative values have one below zero.
    bin = _mm512_mask_min_epi32(bin, _mm512_cmp_ps_mask(value, zero, _CMP_LT_OQ), bin,
                                _mm512_set1_epi32(-1));
    _mm512_storeu_si512(out + count, _mm512_maskz_compress_epi32(kept, bin));
    count += __builtin_popcount(kept);
  }
  *done = i;
  return count;
}

#include "kernels/survey_simd.inl"

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
