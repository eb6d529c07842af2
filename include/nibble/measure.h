// Judging models by any metric, with or without labels: a value with its sample count and a 95 %
// interval, and the paired difference from the first model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/choice.h"
#include "nibble/data.h"
#include "nibble/evaluate.h"
#include "nibble/graph.h"
#include "nibble/ranks.h"
#include "nibble/runtime.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What a metric judges an output by.
enum class MetricNeeds : uint8_t {
  labels,     // Dataset::label
  targets,    // Dataset::targets
  reference,  // what the first model answers
};
enum class MetricUnit : uint8_t {
  share,     // 0.98 is 98 %
  plain,     // a number
  decibels,  // 6 dB are one bit
};
struct MetricInfo : Choice {
  MetricNeeds needs = MetricNeeds::labels;
  bool larger_is_better = true;
  MetricUnit unit = MetricUnit::share;
};
/// All metrics, in the order in which help lists them.
std::vector<MetricInfo> metric_choices();

/// How an interval was found.
enum class IntervalMethod : uint8_t {
  none,            // fewer than two samples: the interval is without bounds
  exact,           // a proportion: Clopper-Pearson; of paired differences Tango's score interval
  bootstrap,       // samples drawn anew, bias-corrected and accelerated (BCa)
  bias_corrected,  // the same without the acceleration, where the metric is a program's
};

/// One metric on one output of one model.
struct Measurement {
  int64_t samples = 0;   // judged
  int64_t left_out = 0;  // that could not be, in this model or another: they differ in size
  double value = 0;      // a share is in [0, 1]; SQNR may be infinite; NaN: not defined
  Interval interval;     // 95 %
  IntervalMethod method = IntervalMethod::none;
  /// In data set order, without those left out. Empty for a metric of the set as a whole.
  std::vector<double> per_sample;
  std::vector<std::string> notes;  // what the user should know, sentences without their ends
};

/// Of two models on the same samples: second minus first.
struct MeasuredDifference {
  double value = 0;
  Interval interval;  // 95 %
  IntervalMethod method = IntervalMethod::none;
  std::optional<double> p_value;  // McNemar's exact test, of proportions
};

/// One metric on one output.
struct MetricReport {
  std::string metric;
  MetricUnit unit = MetricUnit::share;
  bool larger_is_better = true;
  std::string output;  // of the first model; empty where a program judges all of them
  /// The model that the differences are from: the first, or the second where the first is what the
  /// others are judged by.
  size_t base = 0;
  std::vector<Measurement> models;              // [0, base) are empty
  std::vector<MeasuredDifference> differences;  // parallel; [0, base] are zero
};

struct MeasuredModel {
  std::string name;  // for messages
  const Graph* graph = nullptr;
  const Dataset* data = nullptr;  // the same samples for all models, each prepared as it wants them
  std::optional<Arithmetic> arithmetic;  // none: that of the options
};

struct MeasureOptions {
  /// The name of a metric. Empty: top1 if the data have labels; else mse and mae, or miou for
  /// integers, if they have targets; else, on every output, how near the answers are to those of
  /// the first model: sqnr, cosine, max_error, and agreement where the output holds class scores;
  /// equal for integers.
  std::string metric;
  /// Where no metric is named: the last of these, even if there are labels or targets.
  bool by_first_model = false;
  std::string output;              // the output to judge; empty: the one that fits, or all
  std::optional<float> threshold;  // where a single score becomes class 1
  Arithmetic arithmetic = Arithmetic::integer;
  int batch = 32;
  int threads = 0;
  int resamples = 2000;      // of the bootstrap
  double confidence = 0.95;  // of all intervals
  uint64_t seed = 0;
  /// That measure() the samples together; each gets the whole result, that of one rank.
  Ranks* ranks = nullptr;
  ProgressSink* progress = nullptr;
};

/// Runs the models side by side; memory: one batch of each, and a few numbers for each sample.
/// Intervals are the same for the same seed, at any number of threads. Samples that follow on one
/// another (carried states) are drawn as whole sequences. Throws Error{invalid_argument} for an
/// unknown metric or output, or one that the data cannot be judged by, saying what to do instead;
/// Error{invalid_data} if the models got different numbers of samples.
std::vector<MetricReport> measure(std::span<const MeasuredModel> models,
                                  const MeasureOptions& options = {});

/// The same by a program of the user's: the file `program`, or a command line of the shell. It is
/// called once for each model with a folder that holds the outputs for all samples, and answers one
/// number for each sample, or one for each of the sets of samples that the interval is taken from;
/// docs/judging.md says how. The value is the mean, or that of the whole set. Disk: the outputs of
/// all models, in the folder for temporary files. options.metric, output and threshold are not
/// looked at. Throws Error{io} or {invalid_data} if the program cannot be started, fails, or
/// answers anything else.
MetricReport measure_by_program(std::span<const MeasuredModel> models, const std::string& program,
                                const MeasureOptions& options = {});

}  // namespace nibble
#pragma GCC visibility pop
