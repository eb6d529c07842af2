// Accuracy with confidence, paired comparison, layer by layer error, size and speed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/ranks.h"
#include "nibble/runtime.h"

#pragma GCC visibility push(default)
namespace nibble {

struct Interval {
  double low = 0;
  double high = 0;
};

/// Clopper-Pearson (exact) two-sided interval of a proportion. Source: Clopper and Pearson,
/// Biometrika 26 (1934).
Interval binomial_interval(int64_t successes, int64_t trials, double confidence = 0.95);

/// McNemar's exact test on the samples on which exactly one of two models is right: two-sided
/// p-value.
double mcnemar_exact(int64_t only_first_right, int64_t only_second_right);
/// Interval of the paired difference of two proportions (second minus first), in share of `trials`:
/// Tango's score interval (Statistics in Medicine 17, 1998).
Interval paired_difference_interval(int64_t only_first_right, int64_t only_second_right,
                                    int64_t trials, double confidence = 0.95);

struct Evaluation {
  int64_t samples = 0;
  int64_t correct = 0;
  Interval interval;           // 95 %
  std::vector<uint8_t> right;  // per sample, in data set order: what paired tests need
  std::vector<int32_t> predicted;
  std::string output;       // the one that was read
  int64_t nan_samples = 0;  // with NaN among their scores: predicted as -1, hence wrong
  /// What the user should know of how the graph was run, sentences without their ends.
  std::vector<std::string> notes;
  double accuracy() const {
    return samples == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(samples);
  }
};

struct EvaluateOptions {
  Arithmetic arithmetic = Arithmetic::integer;
  int batch = 32;
  int threads = 0;
  /// That evaluate the samples together; each gets the whole result, that of one rank.
  Ranks* ranks = nullptr;
  ProgressSink* progress = nullptr;
  /// The output that says the class. Empty: the first with a score for each class, else the first
  /// that is a single score or the class itself, else the first with more scores, else with fewer.
  std::string output;
  /// Where a single score becomes class 1. None: above 0.5 if it comes from a Sigmoid, HardSigmoid
  /// or Softmax, else (a logit) above 0; `notes` say what was assumed.
  std::optional<float> threshold;
};

/// Top-1 accuracy. An output of scores ([N,C], [N,C,1,1], ...) answers the class of the largest
/// (the first of equal ones), a single score class 0 or 1, a single integer (ArgMax) itself; -1,
/// hence wrong, if a score is NaN. A graph whose batch is fixed is run with that batch, one that
/// would mix the samples of a batch with one at a time. Error{invalid_argument}: the samples do not
/// fit the input, no output holds class scores, or a label is beyond the classes the output tells
/// apart. For other metrics see measure().
Evaluation evaluate(const Graph& graph, const Dataset& data, const EvaluateOptions& options = {});

struct PairedTest {
  int64_t only_first_right = 0;
  int64_t only_second_right = 0;
  double difference = 0;  // second minus first, share of samples
  Interval interval;      // 95 %
  double p_value = 1;
};
PairedTest compare_paired(const Evaluation& first, const Evaluation& second);

/// Error of one value between two graphs of the same network. sqnr_db is 10 log10(sum x^2 / sum
/// (y - x)^2) over all samples: infinite if the values are equal.
struct LayerError {
  std::string value;
  std::string node;
  std::string op;
  double sqnr_db = 0;
  double cosine = 1;
  double max_abs_error = 0;
};
/// Matches values by name and runs both graphs on the first `samples` samples (all if <= 0), the
/// reference in f32 and the other as options.arithmetic says; worst SQNR first. Memory: the
/// reference's activations for at most 8 samples.
std::vector<LayerError> compare_layers(const Graph& reference, const Graph& quantized,
                                       const Dataset& data, int64_t samples,
                                       const EvaluateOptions& options = {});

struct Latency {
  int threads = 1;
  int64_t batch = 1;
  int runs = 0;
  double median_s = 0;
  double p95_s = 0;
  double samples_per_second = 0;
  uint64_t memory_bytes = 0;  // activations and weights as the program holds them
};
struct BenchOptions {
  std::vector<int> threads = {1};
  int64_t batch = 1;  // for inputs whose first dimension is unknown
  /// For inputs with other unknown dimensions, by input name.
  std::map<std::string, Shape> input_shapes;
  double seconds = 1.0;  // per model and thread count, after warm-up
  uint64_t seed = 0;     // of the random inputs
  ProgressSink* progress = nullptr;
};
/// Runs the graphs in turns (interleaved), so that what disturbs the machine disturbs them alike.
/// Inputs are random, the same for all runs; states that a graph says it carries (stored_carry())
/// start from zeros and go from run to run. Throws Error{invalid_argument} for an input whose shape
/// is not known, or a state that comes out in another shape. Result: [graph][thread count].
std::vector<std::vector<Latency>> bench(const std::vector<Graph>& graphs,
                                        const BenchOptions& options = {});

/// The most memory this process ever held (VmHWM); 0 where the system does not tell.
uint64_t peak_resident_bytes();

}  // namespace nibble
#pragma GCC visibility pop
