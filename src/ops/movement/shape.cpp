// Operators that make, measure or rename shapes: no element is computed.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/onnx_dtype.h"

namespace nibble {
namespace {

// ---- Constant, ConstantOfShape

Tensor constant_of(const Node& node) {
  const Attributes& attributes = node.attributes;
  if (const Attribute* value = attributes.find("value")) {
    if (const auto* tensor = std::get_if<Tensor>(value)) return *tensor;
  }
  const auto list = [](const auto& values) {
    using T = typename std::decay_t<decltype(values)>::value_type;
    return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
  };
  if (attributes.has("value_float")) return Tensor::scalar(attributes.real("value_float", 0));
  if (attributes.has("value_int")) return Tensor::scalar(attributes.integer("value_int", 0));
  if (attributes.has("value_floats")) return list(attributes.reals("value_floats"));
  if (attributes.has("value_ints")) return list(attributes.integers("value_ints"));
  fail(ErrorCode::unsupported, "the constant is neither a tensor nor a number");
}

std::vector<TensorType> infer_constant(const NodeTypes& types) {
  const Tensor value = constant_of(types.node);
  return {{.dtype = value.dtype(), .shape = value.shape()}};
}

void eval_constant(EvalContext& context) { context.set_output(0, constant_of(context.node)); }

// The shape that an integer tensor spells out; unknown if the tensor is.
Shape shape_from(const Tensor* tensor, const Shape& shape_of_tensor) {
  if (tensor != nullptr) return Shape(to_int64s(*tensor));
  Shape shape = Shape::unknown_rank();
  if (shape_of_tensor.rank() == 1 && shape_of_tensor[0] >= 0) {
    shape = Shape{};
    for (int64_t i = 0; i < shape_of_tensor[0]; ++i) shape.push_back(Shape::kUnknown);
  }
  return shape;
}

Tensor fill_value(const Node& node) {
  const Attribute* value = node.attributes.find("value");
  const Tensor* tensor = value != nullptr ? std::get_if<Tensor>(value) : nullptr;
  if (tensor == nullptr) return Tensor(DType::f32, {1});
  if (tensor->elements() != 1) {
    fail(ErrorCode::invalid_model, "attribute value has the shape {}, expected one element",
         tensor->shape().to_string());
  }
  return *tensor;
}

std::vector<TensorType> infer_constant_of_shape(const NodeTypes& types) {
  return {{.dtype = fill_value(types.node).dtype(),
           .shape = shape_from(types.constant(0), types.shape(0))}};
}

void eval_constant_of_shape(EvalContext& context) {
  const Tensor value = fill_value(context.node);
  const Shape shape(to_int64s(context.input(0)));
  if (is_packed(value.dtype())) {
    const std::vector<int32_t> values(static_cast<size_t>(shape.elements()),
                                      unpack_integers(value)[0]);
    return context.set_output(0, pack_integers(value.dtype(), shape, values));
  }
  Tensor& out = context.output(0, value.dtype(), shape);
  const size_t size = element_bytes(value.dtype());
  auto* to = static_cast<std::byte*>(out.raw());
  for (int64_t i = 0; i < out.elements(); ++i, to += size) std::memcpy(to, value.raw(), size);
}

// ---- Shape, Size

std::pair<int, int> shape_range(const Node& node, int rank) {
  const auto clamp = [rank](int64_t at) {
    return static_cast<int>(std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank));
  };
  const int begin = clamp(node.attributes.integer("start", 0));
  return {begin, std::max(begin, clamp(node.attributes.integer("end", rank)))};
}

std::vector<TensorType> infer_shape(const NodeTypes& types) {
  TensorType type{.dtype = DType::i64, .shape = {Shape::kUnknown}};
  if (types.shape(0).has_rank()) {
    const auto [begin, end] = shape_range(types.node, types.shape(0).rank());
    type.shape[0] = end - begin;
  }
  return {type};
}

void eval_shape(EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  const auto [begin, end] = shape_range(context.node, shape.rank());
  Tensor& out = context.output(0, DType::i64, {end - begin});
  for (int axis = begin; axis < end; ++axis) {
    out.data<int64_t>()[static_cast<size_t>(axis - begin)] = shape[axis];
  }
}

std::vector<TensorType> infer_size(const NodeTypes&) {
  return {{.dtype = DType::i64, .shape = {}}};
}

void eval_size(EvalContext& context) {
  context.output(0, DType::i64, {}).data<int64_t>()[0] = context.input(0).elements();
}

// ---- Range

// ceil((limit - start) / delta), in the element type's own arithmetic where it is integer.
int64_t range_length(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  for (const Tensor* scalar : {&start, &limit, &delta}) {
    if (scalar->elements() != 1 || scalar->dtype() != start.dtype()) {
      fail(ErrorCode::invalid_model, "Range takes three numbers of one type, found {}{}",
           name_of(scalar->dtype()), scalar->shape().to_string());
    }
  }
  if (is_float(start.dtype())) {
    const auto real = [](const Tensor& t) { return convert(t, DType::f64).data<double>()[0]; };
    if (real(delta) == 0) fail(ErrorCode::invalid_model, "the step of Range is 0");
    const double count = std::ceil((real(limit) - real(start)) / real(delta));
    if (!(count < 0x1p62)) fail(ErrorCode::invalid_model, "Range would have {} elements", count);
    return count > 0 ? static_cast<int64_t>(count) : 0;
  }
  const int64_t step = to_int64s(delta)[0];
  int64_t span = 0;
  if (step == 0) fail(ErrorCode::invalid_model, "the step of Range is 0");
  const bool overflows = __builtin_sub_overflow(to_int64s(limit)[0], to_int64s(start)[0], &span) ||
                         span > INT64_MAX / 2 || span < INT64_MIN / 2 || step > INT64_MAX / 2 ||
                         step < INT64_MIN / 2;
  if (overflows) fail(ErrorCode::invalid_model, "the numbers of Range are too large");
  const int64_t away = step > 0 ? step - 1 : step + 1;
  return std::max<int64_t>(0, (span + away) / step);
}

std::vector<TensorType> infer_range(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype, .shape = {Shape::kUnknown}};
  const Tensor *start = types.constant(0), *limit = types.constant(1), *delta = types.constant(2);
  if (start != nullptr && limit != nullptr && delta != nullptr) {
    type.shape[0] = range_length(*start, *limit, *delta);
  }
  return {type};
}

void eval_range(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_range);
  const Tensor &start = context.input(0), &delta = context.input(2);
  const int64_t length = range_length(start, context.input(1), delta);
  Tensor& out = context.output(0, start.dtype(), {length});
  with_type(start.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      const T first = start.data<T>()[0], step = delta.data<T>()[0];
      const std::span<T> values = out.data<T>();
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<T>(first + static_cast<T>(i) * step);
      }
    }
  });
}

// ---- Reshape, Flatten, Squeeze, Unsqueeze

// The target with 0 (copy) and -1 (the rest) replaced; -1 where that is not known.
Shape reshaped(const Node& node, const Shape& from, std::span<const int64_t> target) {
  const bool allow_zero = node.attributes.integer("allowzero", 0) != 0;
  Shape shape(target);
  int rest = -1;
  int64_t known = 1;
  bool complete = true, overflows = false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == 0 && !allow_zero) {
      if (from.has_rank() && i >= from.rank()) {
        fail(ErrorCode::invalid_model, "the new shape {} copies dimension {}, which {} has not",
             Shape(target).to_string(), i, from.to_string());
      }
      shape[i] = from.has_rank() ? from[i] : Shape::kUnknown;
      complete = complete && shape[i] >= 0;
      overflows = overflows || (shape[i] >= 0 && __builtin_mul_overflow(known, shape[i], &known));
    } else if (shape[i] == -1) {
      if (rest >= 0) {
        fail(ErrorCode::invalid_model, "the new shape {} leaves two dimensions open",
             Shape(target).to_string());
      }
      rest = i;
    } else {
      overflows = overflows || __builtin_mul_overflow(known, shape[i], &known);
    }
  }
  if (overflows) {
    fail(ErrorCode::invalid_model, "the new shape {} is larger than memory",
         Shape(target).to_string());
  }
  if (!complete || !from.is_static()) return shape;
  const int64_t elements = from.elements();
  if (rest >= 0 && known > 0) shape[rest] = elements / known;
  if (rest >= 0 && known == 0) shape[rest] = 0;
  if (!shape.is_static() || shape.elements() != elements) {
    fail(ErrorCode::invalid_model, "cannot reshape {} to {}", from.to_string(),
         Shape(target).to_string());
  }
  return shape;
}

// The open dimension of a dynamic input, when the copied ones cancel out: [N,2,3] to [0,-1].
void fill_in_open_dimension(const Shape& from, std::span<const int64_t> target, Shape& shape) {
  if (!from.has_rank() || from.is_static()) return;
  int64_t have = 1, want = 1;
  int open = -1;
  for (int i = 0; i < std::max(from.rank(), shape.rank()); ++i) {
    const bool copied = i < shape.rank() && i < from.rank() && target[static_cast<size_t>(i)] == 0;
    if (copied) continue;
    if (i < from.rank()) {
      if (from[i] < 0) return;
      have *= from[i];
    }
    if (i < shape.rank()) {
      if (shape[i] < 0) open = i;
      if (shape[i] >= 0) want *= shape[i];
    }
  }
  if (open >= 0 && want > 0 && have % want == 0) shape[open] = have / want;
}

std::vector<TensorType> infer_reshape(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  const KnownIntegers target = integers_of(types, 1, "shape");
  if (target.known) {
    type.shape = reshaped(types.node, types.shape(0), target.values);
    if (types.node.attributes.integer("allowzero", 0) == 0) {
      fill_in_open_dimension(types.shape(0), target.values, type.shape);
    }
  } else {
    type.shape = shape_from(nullptr, types.shape(1));
  }
  return {type};
}

void eval_reshape(EvalContext& context) {
  const Tensor& in = context.input(0);
  const std::vector<int64_t> target =
      integers_of(context, 1, "shape").value_or(std::vector<int64_t>{});
  context.set_output(0, in.reshaped(reshaped(context.node, in.shape(), target)));
}

Shape flattened(const Node& node, const Shape& shape) {
  if (!shape.has_rank()) return {Shape::kUnknown, Shape::kUnknown};
  const int64_t axis = node.attributes.integer("axis", 1);
  if (axis < -shape.rank() || axis > shape.rank()) {
    fail(ErrorCode::invalid_model, "axis {} is out of range for {}", axis, shape.to_string());
  }
  const int cut = static_cast<int>(axis < 0 ? axis + shape.rank() : axis);
  const auto product = [&](int begin, int end) {
    int64_t result = 1;
    for (int i = begin; i < end; ++i) {
      if (shape[i] < 0) return Shape::kUnknown;
      result *= shape[i];
    }
    return result;
  };
  return {product(0, cut), product(cut, shape.rank())};
}

std::vector<TensorType> infer_flatten(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = flattened(types.node, types.shape(0))}};
}

void eval_flatten(EvalContext& context) {
  const Tensor& in = context.input(0);
  context.set_output(0, in.reshaped(flattened(context.node, in.shape())));
}

// Without axes every extent of 1 goes.
Shape squeezed(const Shape& shape, bool given, std::span<const int64_t> axes) {
  const AxisSet set = given ? normalize_axes(axes, shape.rank()) : AxisSet();
  Shape result;
  for (int i = 0; i < shape.rank(); ++i) {
    if (given && set.contains(i) && shape[i] > 1) {
      fail(ErrorCode::invalid_model, "axis {} of {} is not 1", i, shape.to_string());
    }
    if (given ? !set.contains(i) : shape[i] != 1) result.push_back(shape[i]);
  }
  return result;
}

Shape unsqueezed(const Shape& shape, std::span<const int64_t> axes) {
  const int rank = shape.rank() + static_cast<int>(axes.size());
  const AxisSet set = normalize_axes(axes, rank);
  Shape result;
  for (int i = 0, from = 0; i < rank; ++i) {
    result.push_back(set.contains(i) ? 1 : shape[from++]);
  }
  return result;
}

std::vector<TensorType> infer_squeeze(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  const KnownIntegers axes = integers_of(types, 1, "axes");
  const bool decided = axes.given ? axes.known : types.shape(0).is_static();
  if (types.shape(0).has_rank() && decided) {
    type.shape = squeezed(types.shape(0), axes.given, axes.values);
  }
  return {type};
}

void eval_squeeze(EvalContext& context) {
  const Tensor& in = context.input(0);
  const auto axes = integers_of(context, 1, "axes");
  const std::vector<int64_t> values = axes.value_or(std::vector<int64_t>{});
  context.set_output(0, in.reshaped(squeezed(in.shape(), axes.has_value(), values)));
}

std::vector<TensorType> infer_unsqueeze(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  const KnownIntegers axes = integers_of(types, 1, "axes");
  if (types.shape(0).has_rank() && axes.known) {
    type.shape = unsqueezed(types.shape(0), axes.values);
  }
  return {type};
}

void eval_unsqueeze(EvalContext& context) {
  const Tensor& in = context.input(0);
  const auto axes = integers_of(context, 1, "axes").value_or(std::vector<int64_t>{});
  context.set_output(0, in.reshaped(unsqueezed(in.shape(), axes)));
}

// ---- EyeLike

DType eye_dtype(const Node& node, DType input) {
  if (!node.attributes.has("dtype")) return input;
  return dtype_of_onnx(node.attributes.required_integer("dtype"));
}

std::vector<TensorType> infer_eye_like(const NodeTypes& types) {
  return {{.dtype = eye_dtype(types.node, types.input(0).dtype), .shape = types.shape(0)}};
}

void eval_eye_like(EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  if (shape.rank() != 2) {
    fail(ErrorCode::invalid_model, "the input {} is not a matrix", shape.to_string());
  }
  const DType dtype = eye_dtype(context.node, context.input(0).dtype());
  const int64_t k = context.node.attributes.integer("k", 0);
  Tensor eye(DType::u8, shape);
  for (int64_t row = 0; row < shape[0]; ++row) {
    const int64_t column = row + k;
    if (column >= 0 && column < shape[1]) {
      eye.data<uint8_t>()[static_cast<size_t>(row * shape[1] + column)] = 1;
    }
  }
  context.set_output(0, convert(eye, dtype));
}

constexpr const char* kFolded = "integer arithmetic on shapes: no codes to compute with";
constexpr const char* kCheap = "nothing to prepare";

constexpr OpRow renaming(std::string_view name, int max_inputs, InferSignature* infer,
                         EvalSignature* eval) {
  return {.name = name,
          .max_inputs = max_inputs,
          .infer = infer,
          .eval = eval,
          .kernels = kMovedByEval,
          .quant = QuantRole::same_codes,
          .view = always_view,
          .gradient = Gradient::autograd,
          .tolerance = 0};
}

constexpr OpRow measuring(std::string_view name, int inputs, InferSignature* infer,
                          EvalSignature* eval, Gradient gradient = Gradient::none) {
  return {.name = name,
          .min_inputs = inputs,
          .max_inputs = inputs,
          .infer = infer,
          .eval = eval,
          .kernels = kCheap,
          .why_float = kFolded,
          .gradient = gradient,
          .tolerance = 0};
}

constexpr std::array kRows = {
    measuring("Constant", 0, infer_constant, eval_constant, Gradient::autograd),
    measuring("ConstantOfShape", 1, infer_constant_of_shape, eval_constant_of_shape,
              Gradient::autograd),
    measuring("Shape", 1, infer_shape, eval_shape, Gradient::autograd),
    measuring("Size", 1, infer_size, eval_size),
    measuring("Range", 3, infer_range, eval_range),
    measuring("EyeLike", 1, infer_eye_like, eval_eye_like),
    renaming("Reshape", 2, infer_reshape, eval_reshape),
    renaming("Flatten", 1, infer_flatten, eval_flatten),
    renaming("Squeeze", 2, infer_squeeze, eval_squeeze),
    renaming("Unsqueeze", 2, infer_unsqueeze, eval_unsqueeze),
};

}  // namespace

std::span<const OpRow> shape_ops() { return kRows; }

}  // namespace nibble
