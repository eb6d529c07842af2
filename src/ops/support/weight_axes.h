// Where the channels of a weight lie, for the rows of operators that share a layout.
#pragma once

#include "ops/op.h"

namespace nibble {

/// [O, I/group, k...]: Conv and its like.
inline WeightAxes convolution_axes(const Node& node, const Shape&) {
  return {.output = 0, .reduction = 1, .groups = node.attributes.integer("group", 1)};
}

/// [..., K, N]: MatMul and its like.
inline WeightAxes matmul_axes(const Node&, const Shape& weight) {
  return {.output = weight.rank() - 1, .reduction = weight.rank() - 2};
}

}  // namespace nibble
