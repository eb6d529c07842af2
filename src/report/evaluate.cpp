// evaluate and compare_paired: accuracy with confidence.
#include "nibble/evaluate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/packing.h"
#include "report/class_reading.h"
#include "report/measure_plan.h"
#include "report/output_stream.h"

namespace nibble {
namespace {

void add(Evaluation& evaluation, const Dataset& data, const ClassReading& reading, int64_t sample,
         const Tensor& output) {
  const int64_t label = data.label(sample);
  if (reading.classes > 0 && label >= reading.classes) fail_label(data, sample, label, reading);
  const int64_t answer = predicted_class(reading, output);
  const bool right = answer == label;
  evaluation.predicted.push_back(static_cast<int32_t>(answer));
  evaluation.right.push_back(right ? 1 : 0);
  evaluation.correct += right ? 1 : 0;
  ++evaluation.samples;
}

// What all ranks found, in the order of the samples.
void put_together(Ranks& ranks, Evaluation& evaluation, AnswerWatch& watch) {
  Packer mine;
  mine.put(evaluation.right);
  mine.put(evaluation.predicted);
  mine.put(watch);
  evaluation.right.clear();
  evaluation.predicted.clear();
  watch = {};
  for (const std::string& bytes : ranks.gather(mine.take())) {
    Unpacker packed(bytes);
    std::ranges::copy(packed.list<uint8_t>(), std::back_inserter(evaluation.right));
    std::ranges::copy(packed.list<int32_t>(), std::back_inserter(evaluation.predicted));
    watch.merge(packed.get<AnswerWatch>());
  }
  evaluation.samples = std::ssize(evaluation.right);
  evaluation.correct = std::ranges::count(evaluation.right, uint8_t{1});
}

// The usual sign of inputs that were prepared in another way, or labels in another order.
bool is_like_guessing(const Evaluation& evaluation, int64_t classes) {
  constexpr int64_t kEnough = 100;  // with fewer samples the interval reaches that far by itself
  return evaluation.samples >= kEnough && classes >= 2 &&
         evaluation.interval.low <= 1 / static_cast<double>(classes);
}

}  // namespace

Evaluation evaluate(const Graph& graph, const Dataset& data, const EvaluateOptions& options) {
  if (data.size() > 0 && data.classes() == 0) {
    fail(ErrorCode::invalid_data, "{}: accuracy cannot be measured", data.describe());
  }
  OutputStream stream(
      graph, data,
      {.batch = options.batch, .arithmetic = options.arithmetic, .threads = options.threads});
  Evaluation evaluation{.notes = stream.notes()};
  // However the samples are dealt out, outputs are read as the first of all of them says.
  const std::span<const Tensor> first = stream.next();
  const ClassReading reading = find_reading(
      graph, first,
      {.output = options.output, .threshold = options.threshold, .classes = data.classes()});
  AnswerWatch watch;
  const Share share = stream.runner().share(options.ranks);
  if (share.begin > 0) stream.go_to(share);
  report_progress(options.progress, "evaluating", 0, share.size());
  for (int64_t i = share.begin; i < share.end; ++i) {
    const std::span<const Tensor> outputs = i == 0 ? first : stream.next();
    add(evaluation, data, reading, i, outputs[reading.output]);
    watch.see(reading, outputs[reading.output]);
    report_progress(options.progress, "evaluating", evaluation.samples, share.size());
  }
  if (options.ranks != nullptr) put_together(*options.ranks, evaluation, watch);
  for (std::string& note : watch.notes(reading)) evaluation.notes.push_back(std::move(note));
  evaluation.output = reading.name;
  evaluation.nan_samples = watch.nan_samples();
  evaluation.interval = binomial_interval(evaluation.correct, evaluation.samples);
  const int64_t classes = std::max<int64_t>(reading.classes, data.classes());
  if (is_like_guessing(evaluation, classes)) {
    evaluation.notes.push_back(fmt::format(
        "It cannot be told from guessing one of {} classes: check that the preprocessing and the "
        "order of the classes are those that it was trained with",
        classes));
  }
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
