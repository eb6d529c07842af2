// Choosing bit-widths, and post-training quantization.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Bit-widths of one weighted layer: 2 to 8, or 16 (which no integer kernel runs, but files hold).
/// activation_bits 0: its input stays in float (weight-only). weight_bits 0: all of it does.
struct LayerBits {
  int weight_bits = 8;
  int activation_bits = 8;
  bool operator==(const LayerBits&) const = default;
};

/// Bit-widths by node name; layers not named use `fallback`.
struct BitPlan {
  LayerBits fallback;
  std::map<std::string, LayerBits> layers;
  const LayerBits& of(const std::string& node) const;
};

/// What choose_bits must keep to; exactly one is set.
struct Budget {
  std::optional<double> average_weight_bits;  // over all weights
  std::optional<int64_t> file_bytes;          // of the exported model
};

/// Output SQNR in dB of the network when only this layer's weights have `bits` bits.
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
  bool first_and_last_8bit = true;  // as in QuantizeOptions: these layers have no choice
  /// Layers (node names) whose weight bits are given: no choice, but part of the budget. 0: in
  /// float, as if skipped.
  std::map<std::string, int> fixed_weight_bits;
  /// Node names that stay in float, as in QuantizeOptions: no choice, and no part of an average.
  std::vector<std::string> skip;
  int threads = 0;
  ProgressSink* progress = nullptr;
};

struct BitChoice {
  BitPlan plan;
  std::vector<Sensitivity> sensitivities;
  double average_weight_bits = 0;
};

/// Measures each layer's sensitivity, then picks the bits that meet the budget at the least summed
/// noise (the noise powers of layers add up as if they were independent). Throws
/// Error{invalid_argument} if the budget cannot be met, saying what can.
BitChoice choose_bits(const Graph& graph, const RangeReport& ranges, const Dataset& data,
                      const Budget& budget, const ChooseOptions& options = {});

struct QuantizeOptions {
  ObserverKind weight_observer = ObserverKind::mse;
  ObserverKind activation_observer = ObserverKind::mse;
  /// 0: one weight scale per output channel. Else weight-only layers (activation_bits 0) have one
  /// per block of this many weights along the reduction axis, where it is longer than that.
  int64_t weight_block_size = 0;
  bool first_and_last_8bit = true;  // the first and last weighted layers never go under 8 bits
  /// Activations are signed with zero point 0, [-127, 127] at 8 bits, as TensorRT needs; else
  /// unsigned with any zero point, which wastes no codes. Not together with `dynamic`.
  bool symmetric_activations = false;
  bool dynamic =
      false;  // activation ranges at run time: DynamicQuantizeLinear and MatMulInteger/ConvInteger
  /// The bias takes back the mean error that rounding the weights causes, by the measured means of
  /// the layer's data.
  bool bias_correction = true;
  std::vector<std::string> skip;  // node names that stay in float
  int threads = 0;                // 0: one per core
};

struct QuantizeReport {
  struct Skipped {
    std::string node;
    std::string reason;
  };
  std::vector<Skipped> why_not;
  int quantized_layers = 0;
};
/// The same graph, folded (BatchNorm, constants), its tensors now typed int8/int4/... A layer that
/// cannot be quantized stays in float; `report->why_not` says why. Throws Error{invalid_data} for
/// NaN weights or ranges.
Graph quantize(const Graph& graph, const RangeReport& ranges, const BitPlan& plan,
               const QuantizeOptions& options = {}, QuantizeReport* report = nullptr);

/// For `nibble inspect`: each node, with what would be done to it and why not.
struct NodeSupport {
  std::string node;
  std::string op;
  bool quantizable = false;
  std::string reason;
  int64_t parameters = 0;
  int64_t macs = 0;  // at a batch of 1; 0 if they depend on another open size: `reason` says so
};
std::vector<NodeSupport> inspect_nodes(const Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
