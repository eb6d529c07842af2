// One weighted layer: its weight and bias become integers.
#pragma once

#include "base/thread_pool.h"
#include "quant/layers.h"

namespace nibble {

/// What the layer's data input is known to be.
struct LayerInput {
  const QuantParams* quant = nullptr;  // nullptr: it stays in float
  const TensorRange* range = nullptr;  // nullptr: not measured
};

/// Replaces the layer's weight by integers and, where the layer can run as integers, its bias by
/// int32 at scale input_scale * weight_scale. Scales are widened until
/// sum |weight| * |data| + |bias| fits int32 for any data. With options.bias_correction, the bias
/// takes back the mean error that rounding the weight causes (Nagel et al. 2019,
/// arXiv:1906.04721, section 4.2, with measured means). Throws Error{invalid_data} for a NaN or
/// infinite weight.
void quantize_layer(Graph& graph, const Layer& layer, const LayerInput& input,
                    const QuantizeOptions& options, ThreadPool& pool);

}  // namespace nibble
