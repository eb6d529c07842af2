// Choosing bit-widths, and post-training quantization.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/ranges.h"
#include "nibble/target.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Bit-widths of one weighted layer: 2 to 8, or 16 (which no integer kernel runs, but files hold).
/// activation_bits 0: its input stays in float (weight-only). weight_bits 0: all of it does.
struct LayerBits {
  int weight_bits = 8;
  int activation_bits = 8;
  bool operator==(const LayerBits&) const = default;
};

/// Bit-widths by node name (in a body "loop1/body/conv1"); layers not named use `fallback`.
struct BitPlan {
  LayerBits fallback;
  std::map<std::string, LayerBits> layers;
  const LayerBits& of(const std::string& node) const;
};

/// The rounding methods, by name: how weights are rounded to codes.
std::vector<Choice> rounding_choices();

struct QuantizeOptions {
  std::string weight_observer = "mse";  // of observer_choices(); the next too
  std::string activation_observer = "mse";
  double percentile = kUsualPercentile;  // of the observer of that name; in (50, 100]
  std::string rounding = "nearest";      // of weights; of rounding_choices()
  const Dataset* samples = nullptr;      // what rounding methods that look at data run
  /// The runtime that the graph is meant for (of target_choices()): its row says which types the
  /// activations have.
  std::string target = "onnxruntime";
  /// 0: one weight scale per output channel. Else weight-only layers (activation_bits 0) have one
  /// per block of this many weights along the reduction axis, where it is longer than that. Refused
  /// if no layer is weight-only.
  int64_t weight_block_size = 0;
  bool first_and_last_8bit = true;  // the first and last weighted layers never go under 8 bits
  /// What additions and other integer arithmetic read (skip connections) has at least 8 bits;
  /// layers that read it too, in fewer, read a copy.
  bool eight_bit_sums = true;
  bool dynamic =
      false;  // activation ranges at run time: DynamicQuantizeLinear and MatMulInteger/ConvInteger
  /// The bias takes back the mean error that rounding the weights causes, by the measured means of
  /// the layer's data.
  bool bias_correction = true;
  /// Weight scales are widened where two products that meet in 16 bits in the target's kernels
  /// (Target::pair_orders) might saturate: the file then gives the same sums on every CPU.
  bool pair_safe = true;
  std::vector<std::string> skip;  // node names that stay in float
  int threads = 0;                // 0: one per core
  uint64_t seed = 0;              // of what rounding methods draw
  ProgressSink* progress = nullptr;
};

/// What choose_bits must keep to; exactly one is set.
struct Budget {
  std::optional<double> average_weight_bits = {};  // over all weights
  std::optional<int64_t> file_bytes = {};          // of the exported model
  /// Of one sample: over all layers, multiplications times bits of weights times bits of
  /// activations, float being 32 (arXiv:1804.10969, without its additions; arXiv:2005.07093).
  std::optional<double> bit_operations = {};
  std::optional<double> latency_s = {};  // of one run, as ChooseOptions::meter measures it

  bool given() const { return average_weight_bits || file_bytes || bit_operations || latency_s; }
};

/// A step of a network that was timed.
struct TimedStep {
  std::string name = {};    // of the node, with the path of its body
  bool conversion = false;  // of reals to codes or back: no node
  double seconds = 0;       // median
};
struct TimedNetwork {
  double median_s = 0;           // of whole runs without a clock in their steps
  double low_s = 0, high_s = 0;  // 95 % interval of it
  int runs = 0;
  std::vector<TimedStep> steps = {};  // in the order in which they run
};

/// Runs networks against the clock.
class LatencyMeter {
 public:
  virtual ~LatencyMeter() = default;
  /// In turns, so that what disturbs the machine disturbs them alike.
  virtual std::vector<TimedNetwork> time(std::span<const Graph> graphs) = 0;
  /// Under which it does: "1 thread, batch 1, Xeon ..., avx512_vnni".
  virtual std::string conditions() const = 0;
};

/// Output SQNR in dB of the network when only this layer's weights (or, of
/// BitChoice::activation_sensitivities, only its activations) have `bits` bits.
struct Sensitivity {
  std::string node;
  int bits = 8;
  double sqnr_db = 0;
  int64_t weights = 0;
};

struct ChooseOptions {
  std::vector<int> candidates = {8, 4};
  int activation_bits = 8;
  int64_t samples = 64;
  /// Layers (node names) whose weight bits are given: no choice, but part of the budget. 0: in
  /// float, as if skipped.
  std::map<std::string, int> fixed_weight_bits;
  /// How quantize() will then be called: what it would do is measured. Its `skip` has no choice and
  /// is no part of an average. Not `dynamic`.
  QuantizeOptions quantize = {};
  /// Of Budget::file_bytes, what the file will hold besides what quantize() gives.
  int64_t reserved_bytes = 0;
  /// For Budget::latency_s, which needs it; a layer may then stay in float, too.
  LatencyMeter* meter = nullptr;
  ProgressSink* progress = nullptr;
};

/// A choice of bits that no other beats in both the budget's unit and noise, as sensitivities
/// predict it.
struct FrontPoint {
  double average_weight_bits = 0;          // of the layers that are not in float
  std::optional<int64_t> file_bytes = {};  // of the model, where the budget counts bytes
  std::optional<double> bit_operations =
      {};                                // none: they depend on a size that the model leaves open
  std::optional<double> latency_s = {};  // where the budget is one
  double sqnr_db = 0;                    // of the network's output
  std::map<std::string, int> weight_bits =
      {};  // of the layers that had a choice or were given theirs
};

/// What a budget of latency came to.
struct ChosenLatency {
  double budget_s = 0;
  double predicted_s = 0;  // by the steps of networks with the same bits everywhere
  double median_s = 0, low_s = 0, high_s = 0;  // of the network itself, as TimedNetwork
  int runs = 0;
  int networks = 0;  // that were timed to find it
  std::string conditions = {};
};

struct BitChoice {
  BitPlan plan;
  std::vector<Sensitivity> sensitivities;
  /// Where layers may stay in float: what their activations cost.
  std::vector<Sensitivity> activation_sensitivities = {};
  double average_weight_bits = 0;
  Budget budget;     // that it is for
  FrontPoint point;  // it, among those of the front
  std::optional<ChosenLatency> latency = {};
  std::vector<FrontPoint> front;  // cheapest first; at most 200 points of it
};

/// Measures each layer's sensitivity, then picks the bits that meet the budget at the least summed
/// noise (the noise powers of layers add up as if they were independent). What is chosen for a
/// latency is timed itself: where its layers take other times together than apart, these count from
/// then on, and it chooses again. Throws Error{invalid_argument} if the budget cannot be met,
/// saying what can.
BitChoice choose_bits(const Graph& graph, const RangeReport& ranges, const Dataset& data,
                      const Budget& budget, const ChooseOptions& options = {});

struct QuantizeReport {
  struct Skipped {
    std::string node;  // in a body of an If, Loop or Scan: "loop1/body/conv1"
    std::string reason;
    std::string op;
    int64_t parameters = 0;
  };
  /// Every layer with weights that stays in float, in execution order; those in bodies come last.
  std::vector<Skipped> why_not;
  std::vector<std::string> notes;  // what else the user should know, in sentences
  int quantized_layers = 0;
  /// What the quantized layers got, by node: at least 8 bits where the plan's bits may not go
  /// lower.
  std::map<std::string, LayerBits> layers;
};
/// The same graph, folded (BatchNorm, constants), its tensors now typed int8/int4/... A layer that
/// cannot be quantized stays in float; `report->why_not` says why. Throws Error{invalid_data} for
/// NaN weights or ranges.
Graph quantize(const Graph& graph, const RangeReport& ranges, const BitPlan& plan,
               const QuantizeOptions& options = {}, QuantizeReport* report = nullptr);

/// For `nibble inspect`: each node, with what quantize() does to it with its default options, and
/// why not. Nodes in bodies of If, Loop and Scan come last; their macs are of one run of the body.
struct NodeSupport {
  std::string node;  // in a body: "loop1/body/conv1"
  std::string op;
  bool quantizable = false;
  std::string reason;
  int64_t parameters =
      0;             // float constants it reads, but for those that a node before it reads too
  int64_t macs = 0;  // at a batch of 1; 0 if they depend on another open size: `reason` says so
};
std::vector<NodeSupport> inspect_nodes(const Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
