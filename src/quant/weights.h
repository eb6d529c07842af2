// One weighted layer: its weight and bias become integers.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "ops/weight_pairs.h"
#include "quant/layers.h"
#include "ranges/rounding.h"

namespace nibble {

/// A layer to be quantized, and what is known of its data.
struct LayerTask {
  Layer layer;
  std::optional<QuantParams> input_quant;    // nullopt: the data stay in float
  const TensorRange* input_range = nullptr;  // nullptr: not measured
  const LayerSamples* samples = nullptr;     // given if options.rounding needs them
  int32_t greatest_code = 255;               // of the data, where they are unsigned codes
  /// Of a weight that is only stored: the pairs of a product that multiplies the same weight by
  /// such codes. Both get the same scales, so that one constant is enough.
  std::vector<WeightPairs> tied_pairs = {};
};

/// What options.rounding rounds at once.
struct LayersToQuantize {
  std::span<const LayerTask> tasks;
  RoundingProgress progress;
};

/// Replaces the weights of these layers by integers and,
/// where a layer can run as integers, its bias by int32 at scale input_scale * weight_scale. Scales
/// are widened until sum |weight| * |data| + |bias| fits int32 for any data and, with
/// options.pair_safe, no pair of products leaves 16 bits in the target's kernels. With
/// options.bias_correction, the bias takes back the mean error that rounding the weight causes
/// (Nagel et al. 2019, arXiv:1906.04721, section 4.2, with measured means). Throws
/// Error{invalid_data} for a NaN or infinite weight.
void quantize_layers(Graph& graph, const LayersToQuantize& layers, const QuantizeOptions& options,
                     ThreadPool& pool);

}  // namespace nibble
