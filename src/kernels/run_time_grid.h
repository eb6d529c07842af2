// Products whose data lie on a grid that is known only when running.
#pragma once

#include <span>

#include "kernels/output_stage.h"

namespace nibble {

/// Bias and multiplier for data on this grid, in the order of those packed. What was packed with
/// zero point 1 and no bias has the negative sum of its weights as bias.
inline void rescale(const RunTimeGrid& grid, std::span<const int32_t> bias,
                    std::span<const float> multiplier, int32_t* biases, float* multipliers) {
  for (size_t i = 0; i < bias.size(); ++i) biases[i] = grid.zero_point * bias[i];
  for (size_t i = 0; i < multiplier.size(); ++i) multipliers[i] = grid.scale * multiplier[i];
}

/// The stage of the reference for data on this grid.
inline OutputStage rescaled(const RunTimeGrid& grid, OutputStage stage) {
  for (float& multiplier : stage.multiplier) multiplier = grid.scale * multiplier;
  return stage;
}

/// Bytes of both, each on a 64-byte boundary.
inline size_t rescaled_bytes(size_t slots) { return 2 * ((slots * 4 + 63) / 64 * 64); }

}  // namespace nibble
