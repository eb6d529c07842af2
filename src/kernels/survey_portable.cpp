#include "kernels/survey.h"

namespace nibble {
namespace {

int64_t bins_of_vectors(float, const float*, int32_t*, int64_t, int64_t*) { return 0; }

#include "kernels/survey_simd.inl"

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
