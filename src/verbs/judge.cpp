#include "verbs/judge.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "nibble/ranges.h"
#include "passes/insert_qdq.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

// What a model is judged on.
std::shared_ptr<const Dataset> open_samples(const Graph& graph, const SampleSource& source,
                                            const JudgeSettings& settings, uint64_t seed) {
  std::shared_ptr<const Dataset> data = source.open(settings.split, &graph, seed);
  if (settings.samples <= 0) return data;
  if (settings.program.empty()) return draw_samples(graph, data, settings.samples, seed);
  // A program of the user's knows the samples by their numbers.
  const int64_t count = std::min(settings.samples, data->size());
  return slice(std::move(data), 0, count);
}

void settle(std::span<Subject> subjects, const SampleSource& source) {
  std::vector<Graph> graphs;
  for (Subject& subject : subjects) graphs.push_back(std::move(subject.graph));
  source.settle(graphs);
  for (size_t i = 0; i < subjects.size(); ++i) subjects[i].graph = std::move(graphs[i]);
}

void open_all(std::span<Subject> subjects, const SampleSource& source,
              const JudgeSettings& settings, uint64_t seed) {
  settle(subjects, source);
  for (Subject& subject : subjects) {
    subject.data =
        with_context([&] { return "evaluating " + subject.name; },
                     [&] { return open_samples(subject.graph, source, settings, seed); });
    const Subject& first = subjects.front();
    if (subject.data->size() == first.data->size()) continue;
    fail(ErrorCode::invalid_data,
         "{} was evaluated on {} samples and {} on {}: they cannot be compared", subject.name,
         subject.data->size(), first.name, first.data->size());
  }
}

// Puts the model's name before the stages of the work.
class NamedProgress : public ProgressSink {
 public:
  NamedProgress(ProgressSink* sink, std::string name) : sink_(sink), name_(std::move(name)) {}
  void update(std::string_view stage, int64_t done, int64_t total) override {
    if (sink_ != nullptr) sink_->update(fmt::format("{}: {}", name_, stage), done, total);
  }
  bool cancelled() const override { return sink_ != nullptr && sink_->cancelled(); }

 private:
  ProgressSink* sink_;
  std::string name_;
};

Evaluation accuracy_of(const Subject& subject, const MeasureOptions& options) {
  NamedProgress progress(options.progress, subject.name);
  return with_context([&] { return "evaluating " + subject.name; },
                      [&] {
                        return evaluate(subject.graph, *subject.data,
                                        {.arithmetic = options.arithmetic,
                                         .batch = options.batch,
                                         .threads = options.threads,
                                         .ranks = options.ranks,
                                         .progress = &progress,
                                         .output = options.output,
                                         .threshold = options.threshold});
                      });
}

}  // namespace

Judgement judge_models(std::vector<Subject>& subjects, const SampleSource& source,
                       const JudgeSettings& settings, const RunSettings& run) {
  if (subjects.empty()) fail(ErrorCode::invalid_argument, "there is no model to measure");
  open_all(subjects, source, settings, run.seed);
  MeasureOptions options = settings.measure;
  options.threads = run.threads;
  options.seed = run.seed;
  options.progress = run.progress;
  options.ranks = run.ranks;
  const bool labelled = subjects[0].data->classes() > 0;
  const bool own = !settings.program.empty() || settings.function;
  const bool accuracy = !own && (options.metric == "top1" || (options.metric.empty() && labelled));
  if (!accuracy && settings.predictions) {
    fail(ErrorCode::invalid_argument,
         "--predictions writes the classes that --metric top1 compares with labels");
  }
  Judgement judgement;
  if (accuracy) {
    for (const Subject& subject : subjects) {
      judgement.accuracies.push_back(accuracy_of(subject, options));
    }
    return judgement;
  }
  std::vector<MeasuredModel> models;
  for (const Subject& subject : subjects) {
    models.push_back({.name = subject.name, .graph = &subject.graph, .data = subject.data.get()});
  }
  if (settings.function) {
    judgement.reports.push_back(measure_by_function(models, *settings.function, options));
  } else if (settings.program.empty()) {
    judgement.reports = measure(models, options);
  } else {
    judgement.reports.push_back(measure_by_program(models, settings.program, options));
  }
  return judgement;
}

Comparison compare_models(Subject reference, Subject quantized, const SampleSource& source,
                          int64_t samples, const RunSettings& run, Arithmetic arithmetic) {
  std::array<Graph, 2> graphs = {prepare_for_quantization(reference.graph),
                                 std::move(quantized.graph)};
  if (!is_quantized(graphs[1])) graphs[1] = prepare_for_quantization(graphs[1]);  // both alike
  source.settle(graphs);
  const std::shared_ptr<const Dataset> all = source.open(Split::test, &graphs[1], run.seed);
  const std::shared_ptr<const Dataset> data = draw_samples(graphs[1], all, samples, run.seed);
  const std::array<MeasuredModel, 2> models = {MeasuredModel{.name = reference.name,
                                                             .graph = &graphs[0],
                                                             .data = data.get(),
                                                             .arithmetic = Arithmetic::f32},
                                               MeasuredModel{.name = quantized.name,
                                                             .graph = &graphs[1],
                                                             .data = data.get(),
                                                             .arithmetic = arithmetic}};
  Comparison comparison{.samples = data->size(), .outputs = {}, .layers = {}, .costs = {}};
  comparison.outputs = measure(
      models,
      {.by_first_model = true, .threads = run.threads, .seed = run.seed, .progress = run.progress});
  comparison.layers = with_context(
      [&] { return fmt::format("comparing {} with {}", quantized.name, reference.name); },
      [&] {
        return compare_layers(
            graphs[0], graphs[1], *data, data->size(),
            {.arithmetic = arithmetic, .threads = run.threads, .progress = run.progress});
      });
  const RangeReport ranges =
      analyze(graphs[0], *data,
              {.predict_errors = false, .threads = run.threads, .progress = run.progress});
  comparison.costs = layer_figures(graphs[0], graphs[1], ranges, comparison.layers);
  return comparison;
}

}  // namespace nibble
