// The survey of a run as survey.h states it, in plain loops.
#include <algorithm>
#include <cmath>

#include "kernels/survey.h"

namespace nibble {
namespace {

void survey(const float* in, int64_t n, Survey* out) {
  double sum[8] = {}, squares[8] = {};
  *out = {.minimum = in[0], .maximum = in[0]};
  for (int64_t i = 0; i < n; ++i) {
    const double shifted = static_cast<double>(in[i]) - static_cast<double>(in[0]);
    const int64_t lane = i < n / 8 * 8 ? i % 8 : 0;
    sum[lane] += shifted;
    squares[lane] += shifted * shifted;
    out->zeros += in[i] == 0.0F ? 1 : 0;
    out->finite = out->finite && std::isfinite(in[i]);
    out->minimum = std::min(out->minimum, in[i]);
    out->maximum = std::max(out->maximum, in[i]);
  }
  const auto together = [](const double(&part)[8]) {
    return ((part[0] + part[1]) + (part[2] + part[3])) +
           ((part[4] + part[5]) + (part[6] + part[7]));
  };
  out->sum = together(sum);
  out->squares = together(squares);
}

int64_t bins(float inverse, const float* in, int32_t* out, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (in[i] == 0.0F) continue;
    out[count++] = static_cast<int32_t>(std::floor(static_cast<double>(in[i]) * inverse));
  }
  return count;
}

}  // namespace

template <>
const SurveyKernels& survey_kernels<Isa::reference>() {
  static const SurveyKernels kernels = {.survey = survey, .bins = bins};
  return kernels;
}

}  // namespace nibble
