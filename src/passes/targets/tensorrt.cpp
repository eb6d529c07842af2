#include "passes/targets/list.h"

namespace nibble {

// It takes int4 only in blocks and refuses a DequantizeLinear of int32.
Target tensorrt_target() {
  return {.name = "tensorrt",
          .title = "TensorRT",
          .summary = "TensorRT: symmetric int8 activations, 4 bits only in blocks, float biases",
          .symmetric_activations = true,
          .integer_operators = false,
          .least_weight_bits = 4,
          .least_unblocked_weight_bits = 8,
          .most_bits = 8,
          .unsigned_weights = false,
          .integer_bias = false};
}

}  // namespace nibble
