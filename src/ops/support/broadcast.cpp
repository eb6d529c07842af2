#include "ops/support/broadcast.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {

Shape broadcast_shapes(const Shape& a, const Shape& b) {
  if (!a.has_rank() || !b.has_rank()) return Shape::unknown_rank();
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int axis = 0; axis < rank; ++axis) {
    const int axis_a = axis - (rank - a.rank());
    const int axis_b = axis - (rank - b.rank());
    const int64_t dim_a = axis_a < 0 ? 1 : a[axis_a];
    const int64_t dim_b = axis_b < 0 ? 1 : b[axis_b];
    if (dim_a == dim_b || dim_b == 1) {
      result.push_back(dim_a);
    } else if (dim_a == 1 || dim_a < 0) {
      result.push_back(dim_b);
    } else if (dim_b < 0) {
      result.push_back(dim_a);
    } else {
      fail(ErrorCode::invalid_model, "shapes {} and {} cannot be broadcast together", a.to_string(),
           b.to_string());
    }
  }
  return result;
}

namespace detail {

int merge_axes(const Shape& shape, std::span<const Shape* const> operands,
               std::array<int64_t, Shape::kMaxRank>& extent,
               std::span<std::array<int64_t, Shape::kMaxRank>> stride) {
  const size_t count = operands.size();
  std::array<std::array<int64_t, Shape::kMaxRank>, 8> full{};
  check(count <= full.size(), "merge_axes: too many operands");
  for (size_t k = 0; k < count; ++k) {
    int64_t step = 1;
    const Shape& operand = *operands[k];
    for (int axis = operand.rank() - 1; axis >= 0; --axis) {
      const int at = axis + shape.rank() - operand.rank();
      full[k][static_cast<size_t>(at)] = operand[axis] == 1 ? 0 : step;
      step *= operand[axis];
    }
  }
  int rank = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    if (shape[axis] == 1) continue;
    // Axis `a` continues the previous merged axis if, for every operand, stepping that one by one
    // is stepping this one by its whole extent.
    bool merges = rank > 0;
    for (size_t k = 0; merges && k < count; ++k) {
      merges = stride[k][static_cast<size_t>(rank - 1)] == full[k][a] * shape[axis];
    }
    const auto slot = static_cast<size_t>(merges ? rank - 1 : rank);
    extent[slot] = merges ? extent[slot] * shape[axis] : shape[axis];
    for (size_t k = 0; k < count; ++k) stride[k][slot] = full[k][a];
    if (!merges) ++rank;
  }
  return rank;
}

}  // namespace detail
}  // namespace nibble
