// How Resize and Upsample map each output position of an axis to input positions and weights.
#pragma once

#include <vector>

#include "nibble/graph.h"

namespace nibble {

/// One axis that changes: output j is the sum over t of weight[j * taps + t] * input[index[j * taps
/// + t]].
struct AxisResize {
  int axis = 0;
  int64_t in = 0, out = 0;
  int taps = 1;
  std::vector<int64_t> index;
  std::vector<float> weight;  // empty: nearest, a single tap of weight 1
  std::vector<bool> outside;  // output positions that take the extrapolation value; empty: none
};

struct ResizePlan {
  Shape output;
  bool nearest = false;
  std::vector<AxisResize> axes;
  float extrapolation = 0;
};

/// What the node's inputs say, where they are known.
struct ResizeInputs {
  std::vector<float> roi, scales;
  std::vector<int64_t> sizes;
};

/// Output extents alone: `shape` may have unknown ones.
Shape resized_shape(const Node& node, const Shape& shape, const ResizeInputs& inputs);
/// Throws Error{invalid_model} for scales or sizes that do not fit, {unsupported} for an unknown
/// mode.
ResizePlan plan_resize(const Node& node, int opset, const Shape& shape, const ResizeInputs& inputs);

}  // namespace nibble
