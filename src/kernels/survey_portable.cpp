#include "kernels/survey.h"

namespace nibble {
namespace {

#include "kernels/survey_simd.inl"

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::portable>() {
  return kKernels;
}

}  // namespace nibble
