#if defined(__x86_64__)
#include "kernels/survey.h"

namespace nibble {
namespace {

#include "kernels/survey_simd.inl"

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::avx512_vnni>() {
  return kKernels;
}

}  // namespace nibble
#endif
