// evaluate and compare_paired: accuracy with confidence.
#include "nibble/evaluate.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

constexpr float kSigmoidThreshold = 0.5F;

// The class of the largest score (the first of equals), or of a single one above the threshold; -1
// if one is NaN.
int32_t predicted_class(std::span<const float> scores) {
  if (std::any_of(scores.begin(), scores.end(), [](float s) { return std::isnan(s); })) return -1;
  if (scores.size() == 1) return scores[0] > kSigmoidThreshold ? 1 : 0;
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

// Scores of one batch as [samples, scores each].
struct Scores {
  Tensor values;
  size_t each = 0;

  Scores(const Tensor& output, int64_t batch, const std::string& name)
      : values(output.dtype() == DType::f32 ? output : convert(output, DType::f32)) {
    if (output.elements() == 0 || output.elements() % batch != 0) {
      fail(ErrorCode::invalid_model, "the output '{}' is {}, not scores of {} samples", name,
           output.shape().to_string(), batch);
    }
    each = static_cast<size_t>(output.elements() / batch);
  }
  std::span<const float> of(int64_t sample) const {
    return values.data<float>().subspan(static_cast<size_t>(sample) * each, each);
  }
};

void add(Evaluation& evaluation, const Dataset& data, int64_t sample,
         std::span<const float> scores) {
  const int64_t label = data.label(sample);
  const auto classes = std::max<int64_t>(2, static_cast<int64_t>(scores.size()));
  if (label >= classes) {
    fail(ErrorCode::invalid_argument,
         "sample {} of {} has the label {}, but the model tells only {} classes apart", sample,
         data.describe(), label, classes);
  }
  evaluation.predicted.push_back(predicted_class(scores));
  const bool right = evaluation.predicted.back() == label;
  evaluation.right.push_back(right ? 1 : 0);
  evaluation.correct += right ? 1 : 0;
  ++evaluation.samples;
}

}  // namespace

Evaluation evaluate(const Graph& graph, const Dataset& data, const EvaluateOptions& options) {
  if (data.size() == 0) {
    fail(ErrorCode::invalid_data, "the data set is empty: {}", data.describe());
  }
  if (graph.outputs.empty()) fail(ErrorCode::invalid_model, "the model has no outputs");
  if (data.classes() == 0) {
    fail(ErrorCode::invalid_data, "{}: accuracy cannot be measured", data.describe());
  }
  SampleRunner runner(
      graph, data,
      {.batch = options.batch, .arithmetic = options.arithmetic, .threads = options.threads});
  const std::string& output_name = graph.value(graph.outputs[0]).name;
  Evaluation evaluation{.notes = runner.notes()};
  report_progress(options.progress, "evaluating", 0, data.size());
  for (const auto reader = runner.reader(data.size()); const auto batch = reader->next();) {
    const Tensor& output = runner.run(*batch)[0];
    const Scores scores(output, batch->fed(), output_name);
    for (int64_t i = 0; i < batch->count; ++i) {
      add(evaluation, data, batch->begin + i, scores.of(i));
    }
    report_progress(options.progress, "evaluating", evaluation.samples, data.size());
  }
  evaluation.interval = binomial_interval(evaluation.correct, evaluation.samples);
  return evaluation;
}

PairedTest compare_paired(const Evaluation& first, const Evaluation& second) {
  if (first.samples != second.samples || first.right.size() != second.right.size()) {
    fail(ErrorCode::invalid_argument,
         "models can be compared in pairs on the same samples only, these saw {} and {}",
         first.samples, second.samples);
  }
  PairedTest test;
  for (size_t i = 0; i < first.right.size(); ++i) {
    if (first.right[i] > second.right[i]) ++test.only_first_right;
    if (first.right[i] < second.right[i]) ++test.only_second_right;
  }
  if (first.samples > 0) {
    test.difference = static_cast<double>(test.only_second_right - test.only_first_right) /
                      static_cast<double>(first.samples);
  }
  test.interval =
      paired_difference_interval(test.only_first_right, test.only_second_right, first.samples);
  test.p_value = mcnemar_exact(test.only_first_right, test.only_second_right);
  return test;
}

}  // namespace nibble
