#include "passes/targets/list.h"

namespace nibble {

// It reads int4, but not int2. Which of the two orders oneDNN takes depends on groups, channels and
// the CPU.
Target openvino_target() {
  return {.name = "openvino",
          .title = "OpenVINO",
          .summary = "OpenVINO: no weights under 4 bits",
          .least_weight_bits = 4,
          .least_unblocked_weight_bits = 4,
          .unsigned_weights = false,
          .pair_orders = {PairOrder::flattened, PairOrder::per_position}};
}

}  // namespace nibble
