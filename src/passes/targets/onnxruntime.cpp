#include "passes/targets/list.h"
#include "passes/two_bit_weights.h"

namespace nibble {

// Its ConvInteger takes the weights for the left operand, which it makes unsigned: exact sums.
Target onnxruntime_target() {
  return {.name = "onnxruntime",
          .title = "ONNX Runtime",
          .summary = "ONNX Runtime on a CPU",
          .pair_orders = {PairOrder::flattened},
          .pairs_in_dynamic_products = true,
          .weights_above_two_bits = weights_above_two_bits};
}

}  // namespace nibble
