// Index tensors of Gather, Scatter and kin.
#pragma once

#include <vector>

#include "base/check.h"
#include "ops/support/axes.h"

namespace nibble {

/// `index` in [-extent, extent) counted from the front. Throws Error{invalid_data}.
inline int64_t normalize_index(int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) {
    fail(ErrorCode::invalid_data, "index {} is not in [-{}, {})", index, extent, extent);
  }
  return index < 0 ? index + extent : index;
}

/// Rows of index tuples as offsets of elements: for GatherND and ScatterND, whose tuples address
/// the `depth` axes of `shape` from `first` on.
inline int64_t tuple_offset(const int64_t* tuple, int depth, const Shape& shape, int first) {
  int64_t offset = 0;
  for (int i = 0; i < depth; ++i) {
    offset = offset * shape[first + i] + normalize_index(tuple[i], shape[first + i]);
  }
  return offset;
}

}  // namespace nibble
