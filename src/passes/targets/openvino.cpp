#include "passes/targets/list.h"

namespace nibble {

// It reads int4, but not int2.
Target openvino_target() {
  return {.name = "openvino",
          .title = "OpenVINO",
          .summary = "OpenVINO: no weights under 4 bits",
          .least_weight_bits = 4,
          .least_unblocked_weight_bits = 4};
}

}  // namespace nibble
