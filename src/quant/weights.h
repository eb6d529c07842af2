// One weighted layer: its weight and bias become integers.
#pragma once

#include "base/thread_pool.h"
#include "quant/layers.h"

namespace nibble {

/// Which output and input channel an element of a layer's weight belongs to.
class WeightIndex {
 public:
  WeightIndex(const Node& node, const Shape& weight);
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t output(int64_t element) const;
  int64_t input(int64_t element) const;

 private:
  bool output_first_ = true;  // [output, input, ...], else [input, output, ...]
  int64_t rows_ = 1, columns_ = 1, inner_ = 1;
  int64_t groups_ = 1;
  int64_t outputs_ = 1, inputs_ = 1;
};

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
