// Copies that walk a tensor with one stride per axis: Slice, Pad, Expand, Tile are made of these.
#pragma once

#include <array>

#include "base/thread_pool.h"
#include "nibble/tensor.h"

namespace nibble {

/// `extent` elements per axis, `source` and `target` elements apart (0 repeats one element,
/// negative walks backwards).
struct StridedCopy {
  int rank = 0;
  std::array<int64_t, 2 * Shape::kMaxRank> extent{}, source{}, target{};
  int64_t source_offset = 0, target_offset = 0;

  void add_axis(int64_t count, int64_t source_step, int64_t target_step);
  int64_t elements() const;
};

/// Strides of a dense row-major tensor.
std::array<int64_t, Shape::kMaxRank> dense_strides(const Shape& shape);

/// Elements of 1, 2, 4 or 8 bytes. Allocates nothing; splits over the pool.
void copy(const StridedCopy& plan, size_t element_bytes, const void* source, void* target,
          ThreadPool& pool);

}  // namespace nibble
