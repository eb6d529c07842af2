// Multidirectional broadcasting (ONNX "Broadcasting", as numpy): shapes, and the loops over the
// broadcast operands with adjacent axes merged, so that the innermost run is as long as possible.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "nibble/tensor.h"

namespace nibble {

/// The broadcast shape; unknown dimensions and ranks give unknown ones unless the other operand
/// decides. Throws Error{invalid_model} naming both shapes if they do not fit.
Shape broadcast_shapes(const Shape& a, const Shape& b);

/// How N operands are walked together over a result of `shape`. Within a run each operand's step is
/// 1 or 0 (the same element for the whole run).
template <size_t N>
struct BroadcastLoop {
  int rank = 0;  // merged axes; the last one is the run
  std::array<int64_t, Shape::kMaxRank> extent{};
  std::array<std::array<int64_t, Shape::kMaxRank>, N> stride{};
  int64_t elements = 1;

  int64_t run() const { return rank == 0 ? 1 : extent[static_cast<size_t>(rank - 1)]; }
  int64_t step(size_t operand) const {
    return rank == 0 ? 1 : stride[operand][static_cast<size_t>(rank - 1)];
  }

  /// Calls body(first, count, offsets) for each piece of a run within elements [begin, end) of the
  /// result: `first` is the result's element, offsets[k] operand k's.
  template <typename Body>
  void walk(int64_t begin, int64_t end, const Body& body) const;
};

namespace detail {
/// Fills extent and stride; operands' strides are laid out one after the other. Returns the rank.
int merge_axes(const Shape& shape, std::span<const Shape* const> operands,
               std::array<int64_t, Shape::kMaxRank>& extent,
               std::span<std::array<int64_t, Shape::kMaxRank>> stride);
}  // namespace detail

template <size_t N>
BroadcastLoop<N> broadcast_loop(const Shape& shape, const std::array<const Shape*, N>& operands) {
  BroadcastLoop<N> loop;
  loop.rank = detail::merge_axes(shape, operands, loop.extent, loop.stride);
  loop.elements = shape.elements();
  return loop;
}

template <size_t N>
template <typename Body>
void BroadcastLoop<N>::walk(int64_t begin, int64_t end, const Body& body) const {
  if (begin >= end) return;
  const int64_t length = run();
  std::array<int64_t, Shape::kMaxRank> at{};  // where the current run is, on the outer axes
  std::array<int64_t, N> offsets{};           // of the start of the current run
  int64_t rest = begin / length;
  for (int axis = rank - 2; axis >= 0; --axis) {
    const auto a = static_cast<size_t>(axis);
    at[a] = rest % extent[a];
    rest /= extent[a];
    for (size_t k = 0; k < N; ++k) offsets[k] += at[a] * stride[k][a];
  }
  int64_t within = begin % length;
  for (;;) {
    const int64_t count = length - within < end - begin ? length - within : end - begin;
    std::array<int64_t, N> first = offsets;
    for (size_t k = 0; k < N; ++k) first[k] += within * step(k);
    body(begin, count, first);
    begin += count;
    if (begin >= end) return;
    within = 0;
    for (int axis = rank - 2; axis >= 0; --axis) {  // the next run, as an odometer counts
      const auto a = static_cast<size_t>(axis);
      for (size_t k = 0; k < N; ++k) offsets[k] += stride[k][a];
      if (++at[a] < extent[a]) break;
      for (size_t k = 0; k < N; ++k) offsets[k] -= extent[a] * stride[k][a];
      at[a] = 0;
    }
  }
}

}  // namespace nibble
