#include "report/measure_plan.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {
namespace {

using Kind = ClassReading::Kind;

class Planner {
 public:
  Planner(std::span<const MeasuredModel> models, std::span<const std::span<const Tensor>> answers,
          const MeasureOptions& options)
      : models_(models), answers_(answers), options_(options), data_(*models[0].data) {}

  std::vector<MetricTask> plan() {
    if (!options_.metric.empty()) {
      add(find_metric(options_.metric));
    } else if (options_.by_first_model) {
      add_by_reference();
    } else if (data_.classes() > 0) {
      add(find_metric("top1"));
    } else if (!data_.target_fields().empty()) {
      add_by_targets();
    } else {
      add_by_reference();
    }
    return std::move(tasks_);
  }

 private:
  const Graph& graph(size_t model) const { return *models_[model].graph; }

  void add(const MetricRow& row) {
    require_needs(row);
    if (options_.threshold && !row.cuts) {
      fail(ErrorCode::invalid_argument, "a threshold means nothing to {}: leave --threshold out",
           row.name);
    }
    if (row.reads_classes) {
      add_reading(row);
    } else if (row.needs == MetricNeeds::targets) {
      for (size_t field = 0; field < data_.target_fields().size(); ++field) add_target(row, field);
      if (tasks_.empty()) fail_targets();
    } else {
      add_outputs(row);
    }
  }

  void require_needs(const MetricRow& row) const {
    if (row.needs == MetricNeeds::labels && data_.classes() == 0) {
      fail(ErrorCode::invalid_data, "{}: {} cannot be measured without labels", data_.describe(),
           row.name);
    }
    if (row.needs == MetricNeeds::targets && data_.target_fields().empty()) {
      fail(ErrorCode::invalid_data, "{}: {} cannot be measured without targets", data_.describe(),
           row.name);
    }
    if (row.needs == MetricNeeds::reference && models_.size() < 2) {
      fail(ErrorCode::invalid_argument,
           "{} is measured against the first model: name the float model first, then those to "
           "compare with it",
           row.name);
    }
  }

  MetricTask start(const MetricRow& row) const {
    return {.row = &row,
            .base = row.needs == MetricNeeds::reference ? size_t{1} : size_t{0},
            .watches = std::vector<AnswerWatch>(models_.size()),
            .contributions = std::vector<Contributions>(models_.size())};
  }

  void add_reading(const MetricRow& row) {
    MetricTask task = start(row);
    for (size_t m = 0; m < models_.size(); ++m) {
      const ReadingRequest request{.output = options_.output,
                                   .threshold = options_.threshold,
                                   .classes = data_.classes(),
                                   .scores_only = row.scores_only};
      task.readings.push_back(
          with_context([&] { return "evaluating " + models_[m].name; },
                       [&] { return find_reading(graph(m), answers_[m], request); }));
    }
    tasks_.push_back(std::move(task));
  }

  // The output of model `m` that is output `first` of the first model: by name, else by place.
  size_t same_output(size_t m, size_t first) const {
    const std::string& name = graph(0).value(graph(0).outputs[first]).name;
    for (size_t i = 0; i < graph(m).outputs.size(); ++i) {
      if (graph(m).value(graph(m).outputs[i]).name == name) return i;
    }
    if (graph(m).outputs.size() == graph(0).outputs.size()) return first;
    fail(ErrorCode::invalid_argument, "{} has no output '{}', which {} has", models_[m].name, name,
         models_[0].name);
  }

  MetricTask on_output(const MetricRow& row, size_t output) const {
    MetricTask task = start(row);
    for (size_t m = 0; m < models_.size(); ++m) {
      const size_t own = same_output(m, output);
      ClassReading reading = reading_of(graph(m), own, answers_[m][own], data_.classes());
      // What is said of reading classes matters to those that do.
      if (!row.cuts || row.needs != MetricNeeds::reference) reading.kind = Kind::none;
      if (reading.kind != Kind::score) reading.notes.clear();
      if (options_.threshold) reading.cut = *options_.threshold;
      if (options_.threshold) reading.notes.clear();
      task.readings.push_back(std::move(reading));
    }
    return task;
  }

  std::optional<size_t> wanted_output() const {
    if (options_.output.empty()) return std::nullopt;
    return find_output(graph(0), options_.output);
  }

  // The output that a target is for: by name; the only nameless one is for the one wanted, or the
  // first.
  std::optional<size_t> output_of(size_t field) const {
    const std::string name = data_.target_fields()[field].name;
    const std::optional<size_t> wanted = wanted_output();
    if (name.empty()) return wanted.value_or(0);
    for (size_t i = 0; i < graph(0).outputs.size(); ++i) {
      const bool named = graph(0).value(graph(0).outputs[i]).name == name;
      if (named && (!wanted || *wanted == i)) return i;
    }
    if (wanted && data_.target_fields().size() == 1) return wanted;
    return std::nullopt;
  }

  void add_target(const MetricRow& row, size_t field) {
    const std::optional<size_t> output = output_of(field);
    if (!output) return;
    MetricTask task = on_output(row, *output);
    task.target_field = field;
    const Tensor target = data_.targets(0)[field];
    for (size_t m = 0; row.cuts && m < models_.size(); ++m) {
      ClassReading& reading = task.readings[m];
      const Tensor& answer = answers_[m][reading.output];
      const bool single = is_float(answer.dtype()) && answer.elements() == target.elements();
      if (single) {
        reading.notes.push_back(fmt::format("'{}' is one score for each place{}: class 1 above {}",
                                            reading.name,
                                            options_.threshold    ? ""
                                            : reading.probability ? ", taken as a probability"
                                                                  : ", taken as a logit",
                                            reading.cut));
      }
    }
    tasks_.push_back(std::move(task));
  }

  void add_by_targets() {
    const std::vector<Field> fields = data_.target_fields();
    for (size_t field = 0; field < fields.size(); ++field) {
      if (is_float(fields[field].dtype)) {
        add_target(find_metric("mse"), field);
        add_target(find_metric("mae"), field);
      } else {
        add_target(find_metric("miou"), field);
      }
    }
    if (tasks_.empty()) fail_targets();
  }

  [[noreturn]] void fail_targets() const {
    std::string names;
    for (const Field& field : data_.target_fields()) {
      names += fmt::format("{}'{}'", names.empty() ? "" : ", ", field.name);
    }
    fail(ErrorCode::invalid_argument,
         "no output of {} has the name of a target of {} ({}): say which with --output",
         models_[0].name, data_.describe(), names);
  }

  bool holds_numbers(size_t output) const {
    return answers_[0][output].empty() || is_float(answers_[0][output].dtype());
  }
  // Scores, or a single probability: a single number may mean anything, and what has another length
  // for each sample is no list of classes.
  bool holds_scores(size_t output) const {
    const Shape& declared = graph(0).value(graph(0).outputs[output]).type.shape;
    for (int axis = 1; axis < declared.rank(); ++axis) {
      if (declared[axis] < 0) return false;
    }
    const ClassReading reading = reading_of(graph(0), output, answers_[0][output], data_.classes());
    return reading.kind == Kind::scores || (reading.kind == Kind::score && reading.probability);
  }

  void add_outputs(const MetricRow& row) {
    const std::optional<size_t> wanted = wanted_output();
    for (size_t i = 0; i < graph(0).outputs.size(); ++i) {
      const bool fits =
          row.name == "equal" || (row.name == "agreement" ? holds_scores(i) : holds_numbers(i));
      if (wanted ? *wanted == i : fits) tasks_.push_back(on_output(row, i));
    }
    if (tasks_.empty()) {
      fail(ErrorCode::invalid_argument, "no output of {} is fit for {}: say which with --output",
           models_[0].name, row.name);
    }
  }

  void add_by_reference() {
    if (models_.size() < 2) {
      fail(ErrorCode::invalid_argument,
           "{}: without labels models are measured against the first one, so give the float model "
           "and then another, or judge the outputs by a program of your own with --score",
           data_.describe());
    }
    const std::optional<size_t> wanted = wanted_output();
    for (size_t i = 0; i < graph(0).outputs.size(); ++i) {
      if (wanted && *wanted != i) continue;
      if (!holds_numbers(i)) {
        tasks_.push_back(on_output(find_metric("equal"), i));
        continue;
      }
      for (const char* name : {"sqnr", "cosine", "max_error"}) {
        tasks_.push_back(on_output(find_metric(name), i));
      }
      if (holds_scores(i) || (options_.threshold && wanted)) {
        tasks_.push_back(on_output(find_metric("agreement"), i));
      }
    }
  }

  const std::span<const MeasuredModel> models_;
  const std::span<const std::span<const Tensor>> answers_;
  const MeasureOptions& options_;
  const Dataset& data_;
  std::vector<MetricTask> tasks_;
};

}  // namespace

std::vector<MetricTask> plan_tasks(std::span<const MeasuredModel> models,
                                   std::span<const std::span<const Tensor>> answers,
                                   const MeasureOptions& options) {
  return Planner(models, answers, options).plan();
}

void fail_label(const Dataset& data, int64_t sample, int64_t label, const ClassReading& reading) {
  fail(ErrorCode::invalid_argument,
       "sample {} of {} has the label {}, but the model tells only {} classes apart", sample,
       data.describe(), label, reading.classes);
}

std::vector<int64_t> runs_of(const Dataset& data, std::span<const int64_t> kept,
                             std::vector<std::string>& notes) {
  constexpr int64_t kLeastRuns = 20;
  std::vector<int64_t> sequences;
  int64_t sequence = 0;
  int64_t next = 0;  // sample to look at
  for (const int64_t sample : kept) {
    for (; next <= sample; ++next) sequence += data.starts_sequence(next) ? 1 : 0;
    sequences.push_back(sequence);
  }
  if (sequence >= kLeastRuns) {
    notes.push_back("Samples follow on one another: the interval draws whole sequences");
    return sequences;
  }
  const auto count = static_cast<int64_t>(kept.size());
  const int64_t run = std::max<int64_t>(1, (count + kLeastRuns - 1) / kLeastRuns);
  for (int64_t i = 0; i < count; ++i) sequences[static_cast<size_t>(i)] = i / run;
  notes.push_back(fmt::format(
      "Samples follow on one another: the interval draws runs of {} as if they were independent",
      run));
  return sequences;
}

}  // namespace nibble
