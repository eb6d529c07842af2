#include "passes/head_view.h"

#include <algorithm>

namespace nibble {

HeadView HeadView::whole(const Shape& shape) {
  HeadView view;
  view.axes.resize(static_cast<size_t>(shape.rank()));
  int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    view.axes[static_cast<size_t>(axis)] = {shape[axis], step};
    step *= shape[axis];
  }
  return view;
}

Shape HeadView::shape() const {
  Shape shape;
  for (const Axis& axis : axes) shape.push_back(axis.extent);
  return shape;
}

HeadView HeadView::transposed(const std::vector<int64_t>& order) const {
  HeadView view;
  for (const int64_t axis : order) view.axes.push_back(axes[static_cast<size_t>(axis)]);
  return view;
}

// Axes of one element say nothing. Each new axis is cut from the end of the old axis at hand, or,
// where it is longer, made of that one and those before it, as far as these follow one another in
// memory.
std::optional<HeadView> HeadView::reshaped(const Shape& shape) const {
  if (!(shape.elements() == this->shape().elements()) || shape.elements() == 0) return std::nullopt;
  std::vector<Axis> rest;
  std::ranges::copy_if(axes, std::back_inserter(rest), [](const Axis& a) { return a.extent != 1; });
  HeadView view;
  view.axes.resize(static_cast<size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    Axis& made = view.axes[static_cast<size_t>(axis)];
    made.extent = shape[axis];
    if (made.extent == 1) continue;
    while (rest.back().extent < made.extent && rest.size() > 1) {
      const Axis inner = rest.back(), outer = rest[rest.size() - 2];
      if (outer.step != inner.step * inner.extent) return std::nullopt;
      rest.pop_back();
      rest.back() = {outer.extent * inner.extent, inner.step};
    }
    Axis& last = rest.back();
    if (last.extent % made.extent != 0) return std::nullopt;
    made.step = last.step;
    last = {last.extent / made.extent, last.step * made.extent};
    if (last.extent == 1) rest.pop_back();
  }
  return view;
}

std::vector<int64_t> transpose_order(const Node& node, int rank) {
  std::vector<int64_t> order = node.attributes.integers("perm");
  for (int axis = rank - 1; order.size() < static_cast<size_t>(rank); --axis) order.push_back(axis);
  return order;
}

}  // namespace nibble
