// A weight that several nodes read is stored once.
#pragma once

#include "nibble/graph.h"

namespace nibble {

/// Quantized constants that hold the same codes on the same grid become one. A matrix that is the
/// transpose of a table that rows are picked from (an output layer tied to its embedding) becomes
/// a Transpose of the table, which compile() folds. Returns the number of constants saved.
int share_constants(Graph& graph);

/// A matrix of f32 with its axes exchanged.
Tensor transposed(const Tensor& matrix);

}  // namespace nibble
