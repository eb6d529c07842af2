// Permuting axes, by element size: what Transpose, and layout changes inside kernels, are made of.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "nibble/tensor.h"

namespace nibble {

/// A permutation of axes with adjacent axes merged where they stay adjacent.
struct Permutation {
  int rank = 0;
  std::array<int64_t, Shape::kMaxRank> extent{};  // of the result
  std::array<int64_t, Shape::kMaxRank> stride{};  // in the source, in elements, per result axis
  int64_t elements = 0;
};

/// Result axis i is source axis axes[i].
Permutation make_permutation(const Shape& source, std::span<const int> axes);

/// Writes the permuted elements of 1, 2, 4 or 8 bytes. Allocates nothing; splits over the pool.
void permute(const Permutation& permutation, size_t element_bytes, const void* source, void* target,
             ThreadPool& pool);

/// [N,spatial...,C] from [N,C,spatial...] if `last`, else the other way; elements of whole bytes.
Tensor with_channels(const Tensor& tensor, bool last, ThreadPool& pool);

}  // namespace nibble
