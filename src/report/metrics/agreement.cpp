// agreement, equal: how often the model answers as the first one does.
#include <algorithm>
#include <bit>
#include <cmath>

#include "report/metrics/list.h"

namespace nibble {
namespace {

using Kind = ClassReading::Kind;

// Where the classes lie among several answers: [N,T,C] of sequences, [N,C,H,W] of maps.
int class_axis(const Shape& shape) { return shape.rank() >= 4 ? 1 : shape.rank() - 1; }

// The class at every place of [before, classes, after]; -1 where a score is NaN.
std::vector<int64_t> classes_of(const Tensor& output) {
  const int axis = class_axis(output.shape());
  const auto classes = static_cast<size_t>(output.shape()[axis]);
  const auto after = static_cast<size_t>(output.shape().elements(axis + 1, output.shape().rank()));
  const std::vector<float> scores = as_floats(output);
  std::vector<int64_t> result(scores.size() / classes);
  for (size_t i = 0; i < result.size(); ++i) {
    const size_t first = i / after * classes * after + i % after;
    for (size_t k = 1; k < classes; ++k) {
      if (scores[first + k * after] > scores[first + static_cast<size_t>(result[i]) * after]) {
        result[i] = static_cast<int64_t>(k);
      }
    }
    for (size_t k = 0; k < classes; ++k) {
      if (std::isnan(scores[first + k * after])) result[i] = -1;
    }
  }
  return result;
}

double share_equal(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  const size_t common = std::min(a.size(), b.size());
  double equal = 0;
  for (size_t i = 0; i < common; ++i) equal += a[i] == b[i] ? 1 : 0;
  return equal / static_cast<double>(std::max(a.size(), b.size()));
}

void judge_agreement(const MetricInput& input, std::vector<double>& numbers) {
  if (input.reading.kind != Kind::none && input.reference_reading->kind != Kind::none) {
    if (input.output.elements() != input.reference->elements()) return;
    const int64_t answer = predicted_class(input.reading, input.output);
    const int64_t expected = predicted_class(*input.reference_reading, *input.reference);
    numbers.push_back(answer == expected ? 1 : 0);
    return;
  }
  const bool several = is_float(input.output.dtype()) && input.output.shape().rank() >= 2 &&
                       input.output.elements() > 0 &&
                       input.output.shape() == input.reference->shape();
  if (several)
    numbers.push_back(share_equal(classes_of(input.output), classes_of(*input.reference)));
}

std::vector<int64_t> elements_of(const Tensor& tensor) {
  if (is_float(tensor.dtype())) {
    // By value: 0 equals -0; NaN equals itself.
    std::vector<int64_t> keys;
    for (const float value : as_floats(tensor)) {
      const float one_zero = value == 0 ? 0.0F : value;
      keys.push_back(std::isnan(value) ? INT64_MAX
                                       : static_cast<int64_t>(std::bit_cast<int32_t>(one_zero)));
    }
    return keys;
  }
  const Tensor whole = convert(tensor, DType::i64);
  const auto values = whole.data<int64_t>();
  return {values.begin(), values.end()};
}

// Of lists that differ in length, what is missing is not equal; two empty ones are.
void judge_equal(const MetricInput& input, std::vector<double>& numbers) {
  const std::vector<int64_t> output = elements_of(input.output);
  const std::vector<int64_t> reference = elements_of(*input.reference);
  const bool empty = output.empty() && reference.empty();
  numbers.push_back(empty ? 1 : share_equal(output, reference));
}

}  // namespace

MetricRow agreement_metric() {
  return {.name = "agreement",
          .summary = "share of answers whose top class is that of the first model",
          .needs = MetricNeeds::reference,
          .cuts = true,
          .judge = judge_agreement};
}

MetricRow equal_metric() {
  return {.name = "equal",
          .summary = "share of elements equal to the first model's (ids, codes)",
          .needs = MetricNeeds::reference,
          .judge = judge_equal};
}

}  // namespace nibble
