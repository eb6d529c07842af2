// Type inference that many operators share, and small parts to write more of it with.
#pragma once

#include <vector>

#include "ops/op.h"

namespace nibble {

/// A type without quantization.
inline TensorType typed(DType dtype, const Shape& shape) {
  return {.dtype = dtype, .shape = shape, .quant = {}};
}
inline std::vector<TensorType> one_output(DType dtype, const Shape& shape) {
  return {typed(dtype, shape)};
}

/// Output 0 is as input 0.
std::vector<TensorType> infer_same(const NodeTypes& types);
/// Output 0 is boolean, of the shape of input 0.
std::vector<TensorType> infer_predicate(const NodeTypes& types);
/// Output 0 has the broadcast shape of all inputs, which share one element type.
std::vector<TensorType> infer_broadcast(const NodeTypes& types);
/// Likewise with a boolean result.
std::vector<TensorType> infer_comparison(const NodeTypes& types);

/// Input `i` must be of `rank` dimensions where its rank is known: else Error{invalid_model}.
void require_rank(const NodeTypes& types, size_t i, int least, int most = Shape::kMaxRank);

/// Input `i`, if given, must have the element type of input 0; half precision and f32 may be mixed.
/// Throws Error{invalid_model}.
void require_type_of_data(const NodeTypes& types, size_t i);

}  // namespace nibble
