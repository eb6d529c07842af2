// Elements of one value seen through Transposes and Reshapes: where in it they lie.
#pragma once

#include <optional>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

/// Element (i, j, ...) of a tensor of these extents is at sum of index * step of the value it
/// shows.
struct HeadView {
  struct Axis {
    int64_t extent = 1, step = 0;
  };
  std::vector<Axis> axes;

  /// A tensor as it lies in memory.
  static HeadView whole(const Shape& shape);

  Shape shape() const;
  /// Its axes in this order.
  HeadView transposed(const std::vector<int64_t>& order) const;
  /// The same elements in the same order under another shape; nullopt if that cannot be said with
  /// one step to each axis.
  std::optional<HeadView> reshaped(const Shape& shape) const;
};

/// Order of the axes of a Transpose of that rank.
std::vector<int64_t> transpose_order(const Node& node, int rank);

}  // namespace nibble
