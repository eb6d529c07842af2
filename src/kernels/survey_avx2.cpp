#if defined(__x86_64__)
#include <immintrin.h>

#include <array>

#include "kernels/survey.h"

namespace nibble {
namespace {

// By mask of eight lanes, the numbers of those in it, and then any.
constexpr auto kLanes = [] {
  std::array<std::array<uint8_t, 8>, 256> lanes{};
  for (size_t mask = 0; mask < lanes.size(); ++mask) {
    size_t count = 0;
    for (uint8_t lane = 0; lane < 8; ++lane) {
      if ((mask >> lane & 1) != 0) lanes[mask][count++] = lane;
    }
  }
  return lanes;
}();

int64_t bins_of_vectors(float inverse, const float* in, int32_t* out, int64_t n, int64_t* done) {
  const __m256 by = _mm256_set1_ps(inverse), zero = _mm256_setzero_ps();
  int64_t count = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256 value = _mm256_loadu_ps(in + i);
    const int kept = _mm256_movemask_ps(_mm256_cmp_ps(value, zero, _CMP_NEQ_OQ));
    const __m256i bin = _mm256_cvtps_epi32(_mm256_floor_ps(_mm256_mul_ps(value, by)));
    // What underflows to zero has bin -1 if negative: all negative values have one below zero.
    const __m256i negative = _mm256_castps_si256(_mm256_cmp_ps(value, zero, _CMP_LT_OQ));
    const __m256i right = _mm256_blendv_epi8(bin, _mm256_min_epi32(bin, negative), negative);
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(
        reinterpret_cast<const __m128i*>(kLanes[static_cast<size_t>(kept)].data())));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + count),
                        _mm256_permutevar8x32_epi32(right, order));
    count += __builtin_popcount(static_cast<unsigned>(kept));
  }
  *done = i;
  return count;
}

#include "kernels/survey_simd.inl"

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::avx2>() {
  return kKernels;
}

}  // namespace nibble
#endif
