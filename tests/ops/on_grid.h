// A case on integer codes: its inputs lie exactly on 8-bit grids, so that what it expects is still
// right, up to the rounding of the result.
#pragma once

#include <optional>

#include "ops/op.h"
#include "support/op_case.h"

namespace nibble::testing {

struct GridCase {
  Graph graph;                 // its quantizable inputs and outputs are typed
  std::vector<Tensor> inputs;  // in reals
  /// Of each output: half a step of its grid, and what f32 arithmetic adds; 0 for integers.
  std::vector<double> tolerance;
};

/// nullopt where an input lies on no 8-bit grid, or is no f32 tensor with elements.
std::optional<GridCase> on_grid(const OpCase& op_case, const OpRow& row);

}  // namespace nibble::testing
