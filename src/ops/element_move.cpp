#include "ops/element_move.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {

std::vector<int64_t> dense_steps(const Shape& shape) {
  std::vector<int64_t> steps(static_cast<size_t>(shape.rank()));
  int64_t step = 1;
  for (size_t axis = steps.size(); axis-- > 0;) {
    steps[axis] = step;
    step *= shape[static_cast<int>(axis)];
  }
  return steps;
}

template <typename T>
void copy_elements(const std::byte* in, std::byte* out, const ElementMove::Axis& axis) {
  const auto* from = reinterpret_cast<const T*>(in);
  auto* to = reinterpret_cast<T*>(out);
  for (int64_t i = 0; i < axis.extent; ++i) to[i * axis.out_step] = from[i * axis.in_step];
}

}  // namespace

ElementMove::ElementMove(std::vector<Axis> axes, int64_t in_start, int64_t out_start,
                         size_t element_bytes)
    : in_start_(in_start), out_start_(out_start), element_bytes_(element_bytes) {
  // Neighbours that one step walks through are one axis.
  for (const Axis& axis : axes) {
    if (axis.extent == 1) continue;
    if (!outer_.empty() && outer_.back().in_step == axis.in_step * axis.extent &&
        outer_.back().out_step == axis.out_step * axis.extent) {
      outer_.back() = {outer_.back().extent * axis.extent, axis.in_step, axis.out_step};
    } else {
      outer_.push_back(axis);
    }
  }
  if (!outer_.empty()) {
    inner_ = outer_.back();
    outer_.pop_back();
  }
  for (const Axis& axis : outer_) rows_ *= axis.extent;
}

ElementMove ElementMove::slice(const Shape& in, std::span<const int64_t> starts,
                               std::span<const int64_t> steps, const Shape& out,
                               size_t element_bytes) {
  const std::vector<int64_t> from = dense_steps(in);
  const std::vector<int64_t> to = dense_steps(out);
  std::vector<Axis> axes;
  int64_t start = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    start += starts[i] * from[i];
    axes.push_back({out[static_cast<int>(i)], steps[i] * from[i], to[i]});
  }
  return {std::move(axes), start, 0, element_bytes};
}

ElementMove ElementMove::transpose(const Shape& in, std::span<const int64_t> permutation,
                                   size_t element_bytes) {
  const std::vector<int64_t> from = dense_steps(in);
  std::vector<Axis> axes(from.size());
  int64_t step = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    const auto source = static_cast<size_t>(permutation[i]);
    axes[i] = {in[static_cast<int>(source)], from[source], step};
    step *= axes[i].extent;
  }
  return {std::move(axes), 0, 0, element_bytes};
}

ElementMove ElementMove::place(const Shape& in, std::span<const int64_t> begins, const Shape& out,
                               size_t element_bytes) {
  const std::vector<int64_t> from = dense_steps(in);
  const std::vector<int64_t> to = dense_steps(out);
  std::vector<Axis> axes;
  int64_t start = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    start += begins[i] * to[i];
    axes.push_back({in[static_cast<int>(i)], from[i], to[i]});
  }
  return {std::move(axes), 0, start, element_bytes};
}

void ElementMove::copy_row(const std::byte* in, std::byte* out) const {
  if (inner_.in_step == 1 && inner_.out_step == 1) {
    std::memcpy(out, in, static_cast<size_t>(inner_.extent) * element_bytes_);
    return;
  }
  switch (element_bytes_) {
    case 1:
      return copy_elements<uint8_t>(in, out, inner_);
    case 2:
      return copy_elements<uint16_t>(in, out, inner_);
    case 4:
      return copy_elements<uint32_t>(in, out, inner_);
    default:
      check(element_bytes_ == 8, "an element has 1, 2, 4 or 8 bytes");
      return copy_elements<uint64_t>(in, out, inner_);
  }
}

void ElementMove::run(const void* in, void* out, ThreadPool& pool) const {
  if (inner_.extent == 0 || rows_ == 0) return;
  const auto bytes = static_cast<int64_t>(element_bytes_);
  const auto* from = static_cast<const std::byte*>(in) + in_start_ * bytes;
  auto* to = static_cast<std::byte*>(out) + out_start_ * bytes;
  const int64_t grain = std::max<int64_t>(1, 16384 / inner_.extent);
  pool.parallel_ranges(rows_, grain, [&](int64_t begin, int64_t end) {
    // The position of row `begin`, then counted up like an odometer.
    std::array<int64_t, Shape::kMaxRank> index{};
    int64_t in_at = 0;
    int64_t out_at = 0;
    int64_t rest = begin;
    for (size_t axis = outer_.size(); axis-- > 0;) {
      index[axis] = rest % outer_[axis].extent;
      rest /= outer_[axis].extent;
      in_at += index[axis] * outer_[axis].in_step;
      out_at += index[axis] * outer_[axis].out_step;
    }
    for (int64_t row = begin; row < end; ++row) {
      copy_row(from + in_at * bytes, to + out_at * bytes);
      for (size_t axis = outer_.size(); axis-- > 0;) {
        in_at += outer_[axis].in_step;
        out_at += outer_[axis].out_step;
        if (++index[axis] < outer_[axis].extent) break;
        in_at -= index[axis] * outer_[axis].in_step;
        out_at -= index[axis] * outer_[axis].out_step;
        index[axis] = 0;
      }
    }
  });
}

}  // namespace nibble
