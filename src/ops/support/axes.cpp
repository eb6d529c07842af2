#include "ops/support/axes.h"

#include "base/check.h"

namespace nibble {

int normalize_axis(int64_t axis, int rank) {
  if (axis < -rank || axis >= rank) {
    fail(ErrorCode::invalid_model, "axis {} is not in [-{}, {}) of a tensor with {} dimensions",
         axis, rank, rank, rank);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

AxisSet AxisSet::all(int rank) {
  AxisSet set;
  for (int axis = 0; axis < rank; ++axis) set.insert(axis);
  return set;
}

AxisSet normalize_axes(std::span<const int64_t> axes, int rank) {
  AxisSet set;
  for (int64_t axis : axes) {
    const int normal = normalize_axis(axis, rank);
    if (set.contains(normal)) fail(ErrorCode::invalid_model, "axis {} is given twice", axis);
    set.insert(normal);
  }
  return set;
}

std::vector<int64_t> to_int64s(const Tensor& tensor) {
  if (!is_integer(tensor.dtype())) {
    fail(ErrorCode::invalid_model, "integers were expected, found {}{}", name_of(tensor.dtype()),
         tensor.shape().to_string());
  }
  const Tensor wide = convert(tensor, DType::i64);
  const std::span<const int64_t> values = wide.data<int64_t>();
  return {values.begin(), values.end()};
}

std::optional<std::vector<int64_t>> integers_of(const EvalContext& context, size_t input,
                                                std::string_view name) {
  if (context.has(input)) return to_int64s(context.input(input));
  if (context.node.attributes.has(name)) return context.node.attributes.integers(name);
  return std::nullopt;
}

KnownIntegers integers_of(const NodeTypes& types, size_t input, std::string_view name) {
  if (types.has(input)) {
    const Tensor* constant = types.constant(input);
    if (constant == nullptr) return {.given = true, .known = false, .values = {}};
    return {.given = true, .known = true, .values = to_int64s(*constant)};
  }
  if (!types.node.attributes.has(name)) return {};
  return {.given = true, .known = true, .values = types.node.attributes.integers(name)};
}

}  // namespace nibble
