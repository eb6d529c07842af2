// Weights that took over differences between channels before they were rounded.
#pragma once

#include <span>
#include <vector>

#include "ops/roles.h"

namespace nibble {

/// What `rounded` was rounded from, if that is `real` times a factor for each output and each input
/// channel, as evening out channels leaves it (found by alternating least squares, which needs
/// `rounded` to be near it); else `real` itself. Both have the elements that `index` tells the
/// channels of. `noise` is what rounding usually leaves: the sum of step^2 / 12.
std::vector<double> evened_weights(std::span<const float> real, std::span<const float> rounded,
                                   const WeightIndex& index, double noise);

}  // namespace nibble
