#include "ops/movement/transpose.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/transpose_plane.h"

namespace nibble {
namespace {

constexpr int64_t kLeastRows = 16;         // of a cut
constexpr int64_t kGrainElements = 16384;  // less than this is not worth another thread

// Walks all axes but the last and `other` (the axis whose stride in the source is 1), and copies a
// plane of the two for each.
template <typename T>
void permute_planes(const Permutation& p, const T* source, T* target, ThreadPool& pool) {
  std::array<int64_t, Shape::kMaxRank> target_stride{};
  int64_t step = 1;
  for (int axis = p.rank - 1; axis >= 0; --axis) {
    target_stride[static_cast<size_t>(axis)] = step;
    step *= p.extent[static_cast<size_t>(axis)];
  }
  const auto last = static_cast<size_t>(p.rank - 1);
  size_t other = last;
  for (size_t axis = 0; axis < last; ++axis) {
    if (p.stride[axis] == 1) other = axis;
  }
  const bool plane = other != last;
  const int64_t rows = plane ? p.extent[other] : 1;
  const int64_t planes = p.elements / (rows * p.extent[last]);
  // Rows are cut as well, so that a single large plane still occupies all threads.
  const int64_t cuts = std::clamp<int64_t>(rows * p.extent[last] / kGrainElements, 1,
                                           (rows + kLeastRows - 1) / kLeastRows);
  const int64_t rows_per_cut = (rows + cuts - 1) / cuts;
  const int64_t grain = std::max<int64_t>(1, kGrainElements / (rows_per_cut * p.extent[last]));
  pool.parallel_ranges(planes * cuts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const int64_t first_row = index % cuts * rows_per_cut;
      const int64_t count = std::min(rows_per_cut, rows - first_row);
      if (count <= 0) continue;
      const T* from = source;
      T* to = target;
      int64_t rest = index / cuts;
      for (size_t axis = last; axis-- > 0;) {
        if (plane && axis == other) continue;
        const int64_t at = rest % p.extent[axis];
        rest /= p.extent[axis];
        from += at * p.stride[axis];
        to += at * target_stride[axis];
      }
      if (!plane) {
        std::memcpy(to, from, sizeof(T) * static_cast<size_t>(p.extent[last]));
        continue;
      }
      const int64_t target_step = target_stride[other];
      transpose_plane(from + first_row, p.stride[last], to + first_row * target_step, target_step,
                      count, p.extent[last]);
    }
  });
}

}  // namespace

Permutation make_permutation(const Shape& source, std::span<const int> axes) {
  check(static_cast<int>(axes.size()) == source.rank(), "a permutation names every axis once");
  std::array<int64_t, Shape::kMaxRank> stride{};
  int64_t step = 1;
  for (int axis = source.rank() - 1; axis >= 0; --axis) {
    stride[static_cast<size_t>(axis)] = step;
    step *= source[axis];
  }
  Permutation p;
  p.elements = source.elements();
  for (int axis : axes) {
    if (source[axis] == 1) continue;
    const int64_t inner = source[axis] * stride[static_cast<size_t>(axis)];
    if (p.rank > 0 && p.stride[static_cast<size_t>(p.rank - 1)] == inner) {  // still adjacent
      p.extent[static_cast<size_t>(p.rank - 1)] *= source[axis];
      p.stride[static_cast<size_t>(p.rank - 1)] = stride[static_cast<size_t>(axis)];
      continue;
    }
    p.extent[static_cast<size_t>(p.rank)] = source[axis];
    p.stride[static_cast<size_t>(p.rank)] = stride[static_cast<size_t>(axis)];
    ++p.rank;
  }
  if (p.rank == 0) {
    p.rank = 1;
    p.extent[0] = 1;
    p.stride[0] = 1;
  }
  return p;
}

void permute(const Permutation& permutation, size_t element_bytes, const void* source, void* target,
             ThreadPool& pool) {
  if (permutation.elements == 0) return;
  const auto as = [&](auto zero) {
    using T = decltype(zero);
    permute_planes(permutation, static_cast<const T*>(source), static_cast<T*>(target), pool);
  };
  switch (element_bytes) {
    case 1:
      return as(uint8_t{});
    case 2:
      return as(uint16_t{});
    case 4:
      return as(uint32_t{});
    case 8:
      return as(uint64_t{});
    default:
      check(false, "permute: elements of 1, 2, 4 or 8 bytes");
  }
}

}  // namespace nibble
