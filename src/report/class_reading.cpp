#include "report/class_reading.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "ops/roles.h"

namespace nibble {
namespace {

using Kind = ClassReading::Kind;

// All but one dimension are 1.
bool is_line(const Shape& shape) {
  return std::ranges::count_if(shape.dims(), [](int64_t extent) { return extent != 1; }) <= 1;
}

std::string outputs_text(const Graph& graph, std::span<const Tensor> sample) {
  std::string text;
  for (size_t i = 0; i < sample.size(); ++i) {
    text += fmt::format("{}'{}' {}{}", i == 0 ? "" : ", ", graph.value(graph.outputs[i]).name,
                        sample[i].empty() ? "?" : name_of(sample[i].dtype()),
                        sample[i].empty() ? "" : sample[i].shape().to_string());
  }
  return text;
}

// How well a reading fits the labels: 0 best, -1 not at all.
int fitness(const ClassReading& reading, const ReadingRequest& request) {
  const int classes = request.classes;
  switch (reading.kind) {
    case Kind::none:
      return -1;
    case Kind::index:
      return request.scores_only ? -1 : 1;
    case Kind::score:
      return classes <= 2 ? 1 : -1;
    case Kind::scores:
      break;
  }
  if (classes == 0 || reading.classes == classes) return 0;
  return reading.classes > classes ? 2 : 3;
}

constexpr std::string_view kInstead =
    "choose another with --output, measure the difference from the float model with --metric "
    "sqnr, or judge it by a program of your own with --score";

ClassReading with_threshold(ClassReading reading, const ReadingRequest& request) {
  if (request.threshold) {
    if (reading.kind != Kind::score) {
      fail(ErrorCode::invalid_argument,
           "a threshold cuts a single score, the output '{}' {}: leave --threshold out",
           reading.name,
           reading.kind == Kind::index ? "is the class itself"
                                       : fmt::format("has {}", reading.classes));
    }
    reading.cut = *request.threshold;
    reading.notes.clear();
    reading.notes.push_back(fmt::format("'{}' is one score for each sample: class 1 above {}",
                                        reading.name, reading.cut));
  }
  if (reading.kind == Kind::scores && request.classes > 0 && reading.classes > request.classes) {
    reading.notes.push_back(fmt::format("'{}' tells {} classes apart, the labels {}", reading.name,
                                        reading.classes, request.classes));
  }
  return reading;
}

}  // namespace

bool is_probability(const Graph& graph, ValueId value) {
  static constexpr std::array<std::string_view, 3> kSources = {"Sigmoid", "HardSigmoid", "Softmax"};
  for (auto producer = graph.producer(value); producer; producer = graph.producer(value)) {
    const Node& node = graph.node(*producer);
    if (std::ranges::find(kSources, node.op) != kSources.end()) return true;
    const OpRow* row = find_op(node.op, node.domain);
    const bool moves = row != nullptr && (row->quant == QuantRole::same_codes || node.op == "Cast");
    if (!moves || !node.input(0)) return false;
    value = node.input(0);
  }
  return false;
}

std::vector<float> as_floats(const Tensor& output) {
  const Tensor real = output.dtype() == DType::f32 ? output : convert(output, DType::f32);
  const std::span<const float> values = real.data<float>();
  return {values.begin(), values.end()};
}

ClassReading reading_of(const Graph& graph, size_t output, const Tensor& sample, int classes) {
  ClassReading reading{.output = output, .name = graph.value(graph.outputs[output]).name};
  reading.probability = is_probability(graph, graph.outputs[output]);
  reading.cut = reading.probability ? 0.5F : 0.0F;
  if (sample.empty() || sample.elements() == 0 || !is_line(sample.shape())) return reading;
  const int64_t elements = sample.elements();
  if (elements == 1 && !is_float(sample.dtype())) {
    reading.kind = Kind::index;
  } else if (elements == 1) {
    reading.kind = Kind::score;
    reading.classes = 2;
    reading.notes.push_back(
        fmt::format("'{}' is one score for each sample, taken as a {}: class 1 above {} "
                    "(--threshold sets the cut)",
                    reading.name, reading.probability ? "probability" : "logit", reading.cut));
  } else if (is_float(sample.dtype()) || elements == classes) {
    reading.kind = Kind::scores;
    reading.classes = elements;
  }
  return reading;
}

size_t find_output(const Graph& graph, const std::string& name) {
  std::vector<std::string> names;
  for (const ValueId id : graph.outputs) names.push_back(graph.value(id).name);
  const auto at = std::ranges::find(names, name);
  if (at != names.end()) return static_cast<size_t>(at - names.begin());
  std::string list;
  for (const std::string& each : names) {
    list += fmt::format("{}'{}'", list.empty() ? "" : ", ", each);
  }
  fail(ErrorCode::invalid_argument, "the model has no output '{}', it has {}{}", name, list,
       did_you_mean(name, names));
}

ClassReading find_reading(const Graph& graph, std::span<const Tensor> sample,
                          const ReadingRequest& request) {
  if (!request.output.empty()) {
    const size_t output = find_output(graph, request.output);
    ClassReading reading = reading_of(graph, output, sample[output], request.classes);
    if (fitness(reading, request) < 0) {
      fail(
          ErrorCode::invalid_argument, "the output '{}' is {} for one sample, not {}: {}",
          request.output,
          sample[output].empty() ? "not told apart by samples" : sample[output].shape().to_string(),
          request.classes > 2 ? fmt::format("scores of {} classes", request.classes)
                              : std::string("class scores"),
          kInstead);
    }
    return with_threshold(std::move(reading), request);
  }
  std::optional<ClassReading> best;
  int least = 0;
  int fitting = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    ClassReading reading = reading_of(graph, i, sample[i], request.classes);
    const int fit = fitness(reading, request);
    if (fit < 0) continue;
    ++fitting;
    if (best && fit >= least) continue;
    least = fit;
    best = std::move(reading);
  }
  if (!best) {
    fail(ErrorCode::invalid_argument,
         "no output of the model holds class scores; they are {} for one sample: {}",
         outputs_text(graph, sample), kInstead);
  }
  if (sample.size() > 1) {
    best->notes.insert(best->notes.begin(),
                       fmt::format("The class is read from the output '{}'{}", best->name,
                                   fitting > 1 ? " (--output names another)" : ""));
  }
  return with_threshold(std::move(*best), request);
}

int64_t predicted_class(const ClassReading& reading, const Tensor& output) {
  const bool several = reading.kind == Kind::scores;
  if (output.empty() || output.elements() != (several ? reading.classes : 1)) {
    fail(ErrorCode::invalid_model, "the output '{}' is {} for one sample and {} for another",
         reading.name, several ? fmt::format("{} scores", reading.classes) : "one number",
         output.empty() ? "nothing" : output.shape().to_string());
  }
  if (reading.kind == Kind::index) return convert(output, DType::i64).data<int64_t>()[0];
  const std::vector<float> scores = as_floats(output);
  if (std::ranges::any_of(scores, [](float score) { return std::isnan(score); })) return -1;
  if (!several) return scores[0] > reading.cut ? 1 : 0;
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

void AnswerWatch::see(const ClassReading& reading, const Tensor& output) {
  ++samples_;
  const std::vector<float> numbers =
      is_float(output.dtype()) ? as_floats(output) : std::vector<float>{};
  if (std::ranges::any_of(numbers, [](float number) { return std::isnan(number); })) {
    ++nan_samples_;
    return;
  }
  const int64_t wanted = reading.kind == Kind::scores ? reading.classes : 1;
  if (reading.kind == Kind::none || output.elements() != wanted) return;
  const int64_t answer = predicted_class(reading, output);
  const bool first = answers_++ == 0;
  if (first) answer_ = answer;
  same_ = same_ && answer == answer_;
  if (reading.kind != Kind::score) return;
  least_ = first ? numbers[0] : std::min(least_, numbers[0]);
  most_ = first ? numbers[0] : std::max(most_, numbers[0]);
}

void AnswerWatch::merge(const AnswerWatch& later) {
  samples_ += later.samples_;
  nan_samples_ += later.nan_samples_;
  if (later.answers_ == 0) return;
  const bool first = answers_ == 0;
  answers_ += later.answers_;
  if (first) answer_ = later.answer_;
  same_ = same_ && later.same_ && answer_ == later.answer_;
  least_ = first ? later.least_ : std::min(least_, later.least_);
  most_ = first ? later.most_ : std::max(most_, later.most_);
}

std::vector<std::string> AnswerWatch::notes(const ClassReading& reading) const {
  std::vector<std::string> notes = reading.notes;
  if (nan_samples_ > 0) {
    notes.push_back(fmt::format("{} of {} samples have NaN in '{}'{}", group_digits(nan_samples_),
                                group_digits(samples_), reading.name,
                                reading.kind == Kind::none ? "" : " and count as wrong"));
  }
  if (answers_ < 2) return notes;
  const bool as_logit = reading.kind == Kind::score && !reading.probability && reading.cut == 0;
  if (as_logit && least_ >= 0 && most_ <= 1) {
    notes.push_back(
        fmt::format("All of '{}' lies within [{:.3g}, {:.3g}]: if these are probabilities, use "
                    "--threshold 0.5",
                    reading.name, least_, most_));
  }
  if (same_) {
    notes.push_back(fmt::format("The answer to {} samples is class {}",
                                nan_samples_ > 0 ? "all other" : "all", answer_));
  }
  return notes;
}

}  // namespace nibble
