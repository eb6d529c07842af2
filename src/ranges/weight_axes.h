// Which axes of a weighted layer's weight are the output channels and the reduction.
#pragma once

#include "nibble/graph.h"

namespace nibble {

inline bool is_matmul(const Node& node) {
  return node.op == "MatMul" || node.op == "MatMulInteger" || node.op == "QLinearMatMul";
}

/// The weight's axis of output channels; -1 if one scale per output channel cannot be expressed
/// (ConvTranspose in groups).
inline int output_channel_axis(const Node& node, const Shape& weight) {
  if (node.op == "Gemm") return node.attributes.integer("transB", 0) != 0 ? 0 : 1;
  if (is_matmul(node)) return weight.rank() - 1;
  if (node.op == "ConvTranspose") return node.attributes.integer("group", 1) == 1 ? 1 : -1;
  return 0;
}

/// The weight's axis that is summed over (for Conv: input channels).
inline int reduction_axis(const Node& node, const Shape& weight) {
  if (node.op == "Gemm") return node.attributes.integer("transB", 0) != 0 ? 1 : 0;
  if (is_matmul(node)) return weight.rank() - 2;
  return node.op == "ConvTranspose" ? 0 : 1;
}

}  // namespace nibble
