#include "passes/targets/list.h"
#include "passes/two_bit_weights.h"

namespace nibble {

Target onnxruntime_target() {
  return {.name = "onnxruntime",
          .title = "ONNX Runtime",
          .summary = "ONNX Runtime on a CPU",
          .weights_above_two_bits = weights_above_two_bits};
}

}  // namespace nibble
