// What insert_qdq may be told beyond the defaults.
#pragma once

#include "nibble/graph.h"

namespace nibble {

struct QdqOptions {
  /// Smallest element type that weights are stored in: 2 (where two_bit_weights.h allows it), 4 or
  /// 8 bits.
  int smallest_weight_bits = 2;
  /// The same for weights that are not quantized in blocks.
  int smallest_unblocked_weight_bits = 2;
  /// Biases are int32 constants behind DequantizeLinear; off: plain floats.
  bool integer_bias = true;
};

int insert_qdq(Graph& graph, const QdqOptions& options);

/// The opset that QuantizeLinear and DequantizeLinear need for this storage.
int opset_for(const QuantParams& quant);

}  // namespace nibble
