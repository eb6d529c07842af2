// Models side by side: what `nibble eval` and `nibble compare` do.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "report/causes/figures.h"
#include "report/score_function.h"
#include "verbs/samples.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A model and the samples it is judged on.
struct Subject {
  std::string name;  // for messages and tables
  Graph graph;
  std::shared_ptr<const Dataset> data;
};

struct JudgeSettings {
  Split split = Split::test;
  int64_t samples = 0;       // a random draw of so many; with `program` the first ones. 0: all
  bool predictions = false;  // the predicted classes are wanted: nothing but accuracy will do
  std::string program;       // of the user's, instead of a metric: see measure_by_program()
  std::optional<ScoreFunction> function;  // of the caller, instead of a metric
  /// What measure() takes but for threads, seed and progress, which are those of RunSettings.
  MeasureOptions measure;
};

struct Judgement {
  /// By model, where top-1 accuracy is what was asked for or is usual; else empty.
  std::vector<Evaluation> accuracies;
  std::vector<MetricReport> reports;  // else
};

/// Opens the samples of each model, the same for all, each prepared as it wants them; then judges.
/// The data of `subjects` are filled in. Throws as measure() and evaluate() do.
Judgement judge_models(std::vector<Subject>& subjects, const SampleSource& data,
                       const JudgeSettings& settings, const RunSettings& run);

/// How far the outputs of a quantized model are from the float one's, and each layer's error.
struct Comparison {
  int64_t samples = 0;
  std::vector<MetricReport> outputs;
  std::vector<LayerError> layers;   // worst first
  std::vector<LayerFigures> costs;  // what each layer adds, in execution order
};
/// On a draw of `samples` test samples. The reference is run in f32, the other as `arithmetic`
/// says.
Comparison compare_models(Subject reference, Subject quantized, const SampleSource& data,
                          int64_t samples, const RunSettings& run,
                          Arithmetic arithmetic = Arithmetic::integer);

}  // namespace nibble
#pragma GCC visibility pop
