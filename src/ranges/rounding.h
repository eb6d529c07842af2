// Rounding methods: from a weight and its grid to its codes.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "nibble/pair_order.h"
#include "nibble/ranges.h"

namespace nibble {

/// What a layer sees of one batch, in reals. The tensors are borrowed.
struct LayerBatch {
  const Tensor& data;            // of the float network
  const Tensor& quantized_data;  // as the network delivers it whose layers before are quantized
  const Tensor& result;          // of the float layer for `data`, without an activation behind it
  int64_t samples = 0;
};

/// The samples of a layer, which stream: a method keeps what it wants of them.
class LayerSamples {
 public:
  virtual ~LayerSamples() = default;
  using Visitor = std::function<void(const LayerBatch&)>;
  /// Calls `visit` with each batch. Where it is not known what the quantized network delivers (in
  /// bodies of If, Loop and Scan), `quantized_data` are `data` themselves.
  virtual void visit(const Visitor& visit) const = 0;
  /// Number of samples that all batches hold, about.
  virtual int64_t size() const = 0;
};

/// One weight to be rounded. The grid has zero point 0.
struct WeightToRound {
  const Tensor& weight;  // f32, finite
  const QuantParams& params;
  const Node* node = nullptr;             // the layer, of a row that needs its samples
  const LayerSamples* samples = nullptr;  // likewise
  int data_bits = 0;                      // of the codes of the layer's data; 0: reals
  /// The mean over the samples of what rounding does to the layer's result does not matter: the
  /// bias takes it back.
  bool mean_is_free = false;
  bool may_change_scales = false;
};

/// How far the rounding of a network is: `before` of `total` layers are done, and `layers` are
/// being worked on.
struct RoundingProgress {
  ProgressSink* sink = nullptr;
  int64_t before = 0, layers = 1, total = 1;
  /// This share of the layers that are being worked on is done. Throws Error{cancelled} if the user
  /// asked to stop.
  void report(double share) const;
};

/// What is rounded at once, in execution order.
struct RoundingScope {
  std::span<const WeightToRound> weights;
  uint64_t seed = 0;
  RoundingProgress progress;
};

struct RoundedWeight {
  Tensor codes;  // in the storage type of the grid, from qmin to qmax
  /// The scales that the codes are meant for; empty: those of the grid as it was.
  std::vector<float> scales;
  /// By output channel, the mean over the samples of (result with these codes, for the quantized
  /// data) - (float result); empty if the method does not know it.
  std::vector<double> mean_error;
};

/// A network with rounded weights, and all that a method needs to go on from there.
struct NetworkToRefine {
  Graph& quantized;
  /// The float network: nodes and values of `quantized` have the same ids in it, but for copies
  /// (Identity) of graph outputs.
  const Graph& real;
  const Dataset& samples;
  /// In what orders the products of bytes are added in pairs that must not saturate.
  std::span<const PairOrder> pair_orders;
  uint64_t seed = 0;
  int threads = 0;
  ProgressSink* progress = nullptr;
  std::vector<std::string>* notes = nullptr;  // what the user should know, in sentences
};

/// A rounding method. Its row stands in a file of src/ranges/roundings/; one that needs a module
/// above, as those that train do, stands there and registers itself.
struct RoundingRow {
  std::string_view name;
  std::string_view summary;
  /// `round` looks at WeightToRound::samples.
  bool needs_layer_samples = false;
  /// One for each weight of the scope.
  std::vector<RoundedWeight> (*round)(const RoundingScope& scope, ThreadPool& pool) = nullptr;
  /// What comes after all weights are rounded; null: nothing.
  void (*refine)(const NetworkToRefine& network) = nullptr;

  bool looks_at_data() const { return needs_layer_samples || refine != nullptr; }
};

/// By name.
std::span<const RoundingRow> roundings();
/// Throws Error{invalid_argument} naming those that there are.
const RoundingRow& find_rounding(std::string_view name);

/// Adds a row of a module above while the program or a library is loaded, before any thread asks
/// for rows.
struct RoundingRegistration {
  explicit RoundingRegistration(const RoundingRow& row);
};

/// The codes of one weight by a method that needs nothing else.
Tensor round_weight(const RoundingRow& rounding, const Tensor& weight, const QuantParams& params,
                    ThreadPool& pool);

}  // namespace nibble
