#include "kernels/output_stage.h"

#include <cmath>

#include "base/check.h"

namespace nibble {

void validate(const OutputStage& stage, int64_t channels) {
  if (static_cast<int64_t>(stage.multiplier.size()) != channels)
    fail(ErrorCode::invalid_argument, "the output stage has {} multipliers for {} channels",
         stage.multiplier.size(), channels);
  for (size_t c = 0; c < stage.multiplier.size(); ++c) {
    if (!std::isfinite(stage.multiplier[c]))
      fail(ErrorCode::invalid_argument, "the multiplier of output channel {} is not finite", c);
  }
  if (stage.kind == OutputStage::Kind::codes_u8) {
    if (stage.qmin < 0 || stage.qmax > 255 || stage.qmin > stage.qmax || stage.zero_point < 0 ||
        stage.zero_point > 255)
      fail(ErrorCode::invalid_argument, "codes [{}, {}] with zero point {} do not fit u8",
           stage.qmin, stage.qmax, stage.zero_point);
  } else if (!(stage.min <= stage.max)) {
    fail(ErrorCode::invalid_argument, "the output range [{}, {}] is empty", stage.min, stage.max);
  }
}

}  // namespace nibble
