// What the steps of a run say, in the terms of the page: read from JSON in one place (gather.cpp),
// so that a section is a function of these types and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "report/run_folder.h"

namespace nibble::page {

/// A model, by its name in Findings::models: the path as it was given. Files of equal content are
/// one model, whatever they were called; different files of one path are told apart (" (2)").
using ModelName = std::string;

/// What other budgets would have given.
struct BudgetFront {
  struct Point {
    double cost = 0;     // in the unit
    double sqnr_db = 0;  // predicted, of the output
    double average_bits = 0;
    std::optional<double> bit_operations = {};
  };
  std::string unit = {};  // the key of FrontPoint's JSON that the budget counts: "file_bytes"
  double budget = 0;
  std::vector<Point> points = {};  // cheapest first
  Point chosen = {};
  struct Latency {
    double predicted_s = 0, median_s = 0;
    Interval interval = {};
    int64_t runs = 0, networks = 0;
    std::string conditions = {};
  };
  std::optional<Latency> latency = {};  // of the network that was made, where that was the budget
};

/// A model that was made of another, or trained from scratch.
struct Making {
  std::string verb;  // "quantize", "qat", "finetune", "train"
  ModelName from;    // empty: from scratch
  ModelName to;
  std::string architecture;  // of a network from scratch
  std::map<std::string, LayerBits> layers;
  int64_t quantized_layers = 0;
  int64_t calibration_samples = 0;
  struct Skipped {
    std::string node, op, reason;
    int64_t parameters = 0;
  };
  std::vector<Skipped> skipped;
  std::vector<std::string> notes;
  /// What was tried to keep to a goal, in order; none: there was no goal.
  struct Attempt {
    std::string setting;
    uint64_t bytes = 0;
    double weight_bits = 0;
    double seconds = 0;
    std::string gave, outcome, next;
  };
  std::vector<Attempt> attempts;
  std::optional<size_t> chosen_attempt;
  std::string reported;  // of the chosen one, on samples that decided nothing
  int64_t decision_samples = 0;
  double confidence = 0.95;          // of the intervals that decided
  std::optional<BudgetFront> front;  // where a budget decided
  std::vector<Epoch> epochs;
  bool labelled = true;    // the epochs were judged by labels, not by a teacher's outputs
  int64_t best_epoch = 0;  // from 1; 0: no epoch was better than the start
};

/// A difference from another model on the same samples.
struct ScoreDifference {
  ModelName from;
  double value = 0;
  std::optional<Interval> interval;
  std::optional<double> p_value;
};
struct Score {
  ModelName model;
  std::optional<double> value;  // none: infinite or not defined
  std::optional<Interval> interval;
  int64_t samples = 0;
  int64_t left_out = 0;
  std::optional<ScoreDifference> difference;
  std::vector<std::string> notes;
};
/// One metric on one output.
struct ScoreTable {
  std::string metric;
  std::string output;  // empty: the one there is, or all
  MetricUnit unit = MetricUnit::share;
  std::optional<bool> larger_is_better;  // none: a program's own score
  ModelName against;                     // that the others are judged by; empty: by the data
  std::string data;                      // "digits, test: 500 samples"
  std::vector<Score> scores;
};

struct Timing {
  ModelName model;
  int threads = 1;
  int64_t batch = 1;
  double median_s = 0;
  double p95_s = 0;
};
/// Models that were run in turns, and may be compared.
struct Benchmark {
  std::string machine;  // "Xeon ..., avx512_vnni"
  std::vector<Timing> timings;
};

/// One layer of a compared model, as layer_figures() and cause_of() found it.
struct LayerFinding {
  std::string node, op, value;
  int weight_bits = 0;                                   // 0: float, or no weight
  int activation_bits = 0;                               // of its result; 0: float
  std::optional<double> before_db, behind_db;            // none: nothing lost
  std::optional<double> weight_db, input_db, result_db;  // of rounding that alone; none: not known
  double share = 0;                                      // of the noise that all layers add
  std::string cost, cause, sentence, remedy;             // empty: none
};
struct LayerComparison {
  ModelName reference, quantized;
  int64_t samples = 0;
  std::vector<LayerFinding> layers;  // in execution order
};

/// Where an observer ends the codes of a tensor.
struct ClippingLine {
  std::string observer;
  int bits = 8;
  double low = 0, high = 0;
};
struct TensorHistogram {
  std::string name, node;
  bool is_weight = false;
  double minimum = 0, maximum = 0;
  double low = 0, bin_width = 0;  // of the bins
  std::vector<double> counts;
  std::vector<ClippingLine> lines;
};
struct RangeSet {
  ModelName model;
  int64_t samples = 0;
  std::string data;
  std::vector<TensorHistogram> tensors;  // in execution order
};

struct NodeCost {
  std::string node, op, reason;  // why it stays in float
  int64_t parameters = 0, macs = 0;
  bool quantizable = false;
};
struct ModelCosts {
  ModelName model;
  int64_t parameters = 0, macs = 0;
  std::vector<NodeCost> nodes;
};

/// A step of a profile, or steps of one kind together.
struct TimedStep {
  std::string node, op, kernel;  // of one step
  std::string kind, arithmetic;  // "convolution", "int8"
  int64_t steps = 1;
  double seconds = 0, share = 0;
  std::optional<double> operations, of_peak;  // per second; of the machine's
  std::string why_float, remedy;
};
struct TimedModel {
  ModelName model;
  std::string machine;
  int threads = 1;
  int64_t batch = 1, runs = 0;
  double steps_s = 0, whole_s = 0;
  std::vector<TimedStep> steps;  // in the order in which they run
  std::vector<TimedStep> kinds;  // the longest first
};

struct ModelFacts {
  ModelName name;
  std::string label;  // the file's name, or its path where another has that name
  std::optional<uint64_t> bytes;
  std::optional<uint64_t> memory;  // peak, resident
  std::string sha256;
};

struct Findings {
  std::vector<ModelFacts> models;  // in the order in which they turn up
  std::vector<Making> makings;
  std::vector<ScoreTable> scores;
  std::vector<Benchmark> benchmarks;
  std::vector<LayerComparison> comparisons;
  std::vector<RangeSet> ranges;
  std::vector<ModelCosts> costs;
  std::vector<TimedModel> profiles;
  std::vector<RunStep> steps;

  const ModelFacts* find(const ModelName& name) const;
  /// The label, or the name of a model that is not known.
  const std::string& label(const ModelName& name) const;
};

/// What is not there, or is not of the kind that it should be, is left out.
Findings gather(std::span<const RunStep> steps);

}  // namespace nibble::page
