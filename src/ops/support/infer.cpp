#include "ops/support/infer.h"

#include "base/check.h"
#include "ops/support/broadcast.h"

namespace nibble {
namespace {

Shape broadcast_all(const NodeTypes& types) {
  Shape shape = types.shape(0);
  for (size_t i = 1; i < types.input_count(); ++i) {
    if (types.input(i).dtype != types.input(0).dtype && types.has(i) && types.has(0)) {
      fail(ErrorCode::invalid_model, "operands have different element types, {} and {}",
           name_of(types.input(0).dtype), name_of(types.input(i).dtype));
    }
    shape = broadcast_shapes(shape, types.shape(i));
  }
  return shape;
}

}  // namespace

std::vector<TensorType> infer_same(const NodeTypes& types) {
  return one_output(types.input(0).dtype, types.shape(0));
}

std::vector<TensorType> infer_predicate(const NodeTypes& types) {
  return one_output(DType::boolean, types.shape(0));
}

std::vector<TensorType> infer_broadcast(const NodeTypes& types) {
  return one_output(types.input(0).dtype, broadcast_all(types));
}

std::vector<TensorType> infer_comparison(const NodeTypes& types) {
  return one_output(DType::boolean, broadcast_all(types));
}

void require_rank(const NodeTypes& types, size_t i, int least, int most) {
  const Shape& shape = types.shape(i);
  if (!shape.has_rank() || (shape.rank() >= least && shape.rank() <= most)) return;
  fail(ErrorCode::invalid_model, "input {} is {}, expected {} to {} dimensions", i,
       shape.to_string(), least, most);
}

void require_type_of_data(const NodeTypes& types, size_t i) {
  if (!types.has(i) || !types.has(0)) return;
  const DType data = types.input(0).dtype;
  const DType other = types.input(i).dtype;
  const auto mixes = [](DType dtype) {
    return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
  };
  if (other == data || (mixes(other) && mixes(data))) return;
  fail(ErrorCode::invalid_model, "input {} is {}, but the data is {}", i, name_of(other),
       name_of(data));
}

}  // namespace nibble
