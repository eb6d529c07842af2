#include <cmath>

#include "onnx/expand/attention.h"

namespace nibble {
namespace {

ValueId scalar_of(Expansion& e, ValueId list) {
  return e.op("Reshape", {list, e.constant(Tensor(DType::i64, {0}))});
}

}  // namespace

ValueId heads_of(Expansion& e, ValueId value, int64_t heads) {
  return transposed(e, reshaped(e, value, {0, 0, heads, -1}), {0, 2, 1, 3});
}
ValueId side_by_side(Expansion& e, ValueId value) {
  return reshaped(e, transposed(e, value, {0, 2, 1, 3}), {0, 0, -1});
}

ValueId counted(Expansion& e, ValueId count) {
  const ValueId zero = e.constant(Tensor::scalar<int64_t>(0));
  return e.op("Range", {zero, scalar_of(e, count), e.constant(Tensor::scalar<int64_t>(1))});
}

ValueId added_where(Expansion& e, ValueId hidden, ValueId like, double low) {
  return e.op("Where", {hidden, e.scalar_like(like, low), e.scalar_like(like, 0)});
}

ValueId concat(Expansion& e, ValueId a, ValueId b, int64_t axis) {
  return e.op("Concat", {a, b}, attributes_of({{"axis", axis}}));
}

ValueId scale_of(Expansion& e, ValueId q) {
  const float given = e.node.attributes.real("scale", 0);
  if (given != 0) return e.scalar_like(q, given);
  const Shape& shape = e.type(q).shape;
  const int64_t width = shape.has_rank() ? shape[shape.rank() - 1] : -1;
  if (width > 0) return e.scalar_like(q, 1 / std::sqrt(static_cast<double>(width)));
  const DType dtype = e.type(q).dtype == DType::undefined ? DType::f32 : e.type(q).dtype;
  const ValueId root = e.op("Sqrt", {cast(e, scalar_of(e, extent(e, q, -1)), dtype)});
  return e.op("Div", {e.scalar_like(q, 1), root});
}

int64_t last_extent(Expansion& e, ValueId value) {
  const Shape& shape = e.type(value).shape;
  return shape.has_rank() && shape.rank() > 0 ? shape[shape.rank() - 1] : -1;
}

}  // namespace nibble
