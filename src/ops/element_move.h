// Moves elements of any size from one dense tensor to another along up to kMaxRank axes: what
// Slice, Transpose and Pad with a constant come down to once their parameters are known.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "nibble/tensor.h"

namespace nibble {

class ElementMove {
 public:
  struct Axis {
    int64_t extent;
    int64_t in_step;   // in elements; may be negative
    int64_t out_step;  // in elements, positive
  };

  /// Output element (i0, i1, ...) at out_start + sum i * out_step is input element in_start + sum
  /// i * in_step.
  ElementMove(std::vector<Axis> axes, int64_t in_start, int64_t out_start, size_t element_bytes);

  /// out[i0, i1, ...] = in[start + i * step].
  static ElementMove slice(const Shape& in, std::span<const int64_t> starts,
                           std::span<const int64_t> steps, const Shape& out, size_t element_bytes);
  /// out.shape[i] = in.shape[permutation[i]].
  static ElementMove transpose(const Shape& in, std::span<const int64_t> permutation,
                               size_t element_bytes);
  /// The input placed in the output at `begins` (none negative); the rest of it stays as it is.
  static ElementMove place(const Shape& in, std::span<const int64_t> begins, const Shape& out,
                           size_t element_bytes);

  /// Allocates nothing.
  void run(const void* in, void* out, ThreadPool& pool) const;

 private:
  void copy_row(const std::byte* in, std::byte* out) const;

  std::vector<Axis> outer_;  // outermost first
  Axis inner_{1, 1, 1};
  int64_t rows_ = 1;  // product of the outer extents
  int64_t in_start_;
  int64_t out_start_;
  size_t element_bytes_;
};

}  // namespace nibble
