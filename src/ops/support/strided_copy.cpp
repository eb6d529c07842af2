#include "ops/support/strided_copy.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {

constexpr int64_t kGrainElements = 16384;

template <typename T>
void copy_run(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t count) {
  if (from_step == 1 && to_step == 1) {
    std::memcpy(to, from, sizeof(T) * static_cast<size_t>(count));
  } else if (from_step == 0 && to_step == 1) {
    std::fill_n(to, count, *from);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_step] = from[i * from_step];
  }
}

template <typename T>
void copy_typed(const StridedCopy& plan, const T* source, T* target, ThreadPool& pool) {
  const auto last = static_cast<size_t>(plan.rank - 1);
  const int64_t runs = plan.elements() / plan.extent[last];
  const int64_t grain = std::max<int64_t>(1, kGrainElements / plan.extent[last]);
  pool.parallel_ranges(runs, grain, [&](int64_t begin, int64_t end) {
    for (int64_t run = begin; run < end; ++run) {
      int64_t rest = run, from = plan.source_offset, to = plan.target_offset;
      for (size_t axis = last; axis-- > 0;) {
        const int64_t at = rest % plan.extent[axis];
        rest /= plan.extent[axis];
        from += at * plan.source[axis];
        to += at * plan.target[axis];
      }
      copy_run(source + from, plan.source[last], target + to, plan.target[last], plan.extent[last]);
    }
  });
}

}  // namespace

void StridedCopy::add_axis(int64_t count, int64_t source_step, int64_t target_step) {
  if (count == 1) return;
  if (rank > 0) {  // one run with the axis before, if both tensors step on evenly
    const auto before = static_cast<size_t>(rank - 1);
    if (source[before] == count * source_step && target[before] == count * target_step) {
      extent[before] *= count;
      source[before] = source_step;
      target[before] = target_step;
      return;
    }
  }
  const auto axis = static_cast<size_t>(rank++);
  extent[axis] = count;
  source[axis] = source_step;
  target[axis] = target_step;
}

int64_t StridedCopy::elements() const {
  int64_t product = 1;
  for (int axis = 0; axis < rank; ++axis) product *= extent[static_cast<size_t>(axis)];
  return product;
}

std::array<int64_t, Shape::kMaxRank> dense_strides(const Shape& shape) {
  std::array<int64_t, Shape::kMaxRank> strides{};
  int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<size_t>(axis)] = step;
    step *= shape[axis];
  }
  return strides;
}

void copy(const StridedCopy& plan, size_t element_bytes, const void* source, void* target,
          ThreadPool& pool) {
  if (plan.elements() == 0) return;
  StridedCopy walk = plan;
  if (walk.rank == 0) {  // a single element
    walk.rank = 1;
    walk.extent[0] = 1;
    walk.source[0] = walk.target[0] = 1;
  }
  const auto as = [&](auto zero) {
    using T = decltype(zero);
    copy_typed(walk, static_cast<const T*>(source), static_cast<T*>(target), pool);
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
      check(false, "copy: elements of 1, 2, 4 or 8 bytes");
  }
}

}  // namespace nibble
