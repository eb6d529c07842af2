// Inputs to measure a model with, where it matters little what they are.
#pragma once

#include <cstdint>
#include <optional>

#include "nibble/graph.h"

namespace nibble {

/// How many values an input of integers can have as an index: the least extent of the tables that
/// it picks rows of, directly or behind operators that only move it. 1 (zeros alone) where nobody
/// knows: where the table is computed while running, where indices are computed from the input, and
/// where the body of an If, Loop or Scan reads it. None if it picks nothing.
std::optional<int64_t> index_limit(const Graph& graph, ValueId input);

/// Of the input's type and of `shape`. Reals in [0, 1); bytes in [0, 255]; other integers are
/// indices below index_limit(), or 0 and 1; a single integer is 0.
Tensor random_input(const Graph& graph, ValueId input, const Shape& shape, uint64_t seed);

}  // namespace nibble
