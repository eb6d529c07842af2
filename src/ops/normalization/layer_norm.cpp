// Normalizations over the trailing axes: LayerNormalization, RMSNormalization; and over the
// positions of a channel or a group of channels: InstanceNormalization, GroupNormalization.
#include <array>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "ops/families.h"
#include "ops/normalization/row_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"
#include "ops/support/row_stats.h"

namespace nibble {
namespace {

int64_t row_grain(int64_t length) {
  return std::max<int64_t>(1, kCostlyGrain / std::max<int64_t>(1, length));
}

/// The parameter spread over the normalized axes; itself where it has their shape already.
Tensor spread(const Tensor& parameter, const Shape& normalized, ThreadPool& pool) {
  if (parameter.elements() == normalized.elements()) return parameter;
  if (!(broadcast_shapes(parameter.shape(), normalized) == normalized)) {
    fail(ErrorCode::invalid_model, "shape {} cannot be broadcast to the normalized axes {}",
         parameter.shape().to_string(), normalized.to_string());
  }
  Tensor result(parameter.dtype(), normalized);
  zip<kFloats>(pool, parameter, result, result, [](auto a, auto) { return a; });
  return result;
}

Shape tail(const Shape& shape, int axis) {
  return Shape(shape.dims().subspan(static_cast<size_t>(axis)));
}

Shape statistics_shape(Shape shape, int axis) {
  for (; axis < shape.rank(); ++axis) shape[axis] = 1;
  return shape;
}

template <typename T, bool kCentre>
void eval_rows(EvalContext& context) {
  const Tensor& in = context.input(0);
  const int axis = normalize_axis(context.node.attributes.integer("axis", -1), in.shape().rank());
  const double epsilon = static_cast<double>(context.node.attributes.real("epsilon", 1e-5F));
  const Shape normalized = tail(in.shape(), axis);
  const int64_t length = normalized.elements();
  const Tensor scale = spread(context.input(1), normalized, context.pool);
  const Tensor bias =
      context.has(2) ? spread(context.input(2), normalized, context.pool) : Tensor();
  Tensor& out = context.output(0, in.dtype(), in.shape());
  std::array<T*, 3> statistics{};  // outputs 1 and 2: mean and 1 / deviation of each row
  for (size_t i = 1; kCentre && i < 3; ++i) {
    if (!context.wants(i)) continue;
    statistics[i] =
        context.output(i, in.dtype(), statistics_shape(in.shape(), axis)).template data<T>().data();
  }
  const T* x = in.data<T>().data();
  T* y = out.data<T>().data();
  const T* gain = scale.data<T>().data();
  const T* offset = bias.empty() ? nullptr : bias.data<T>().data();
  const int64_t rows = in.shape().elements(0, axis);
  context.pool.parallel_ranges(rows, row_grain(length), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = x + row * length;
      T* to = y + row * length;
      const RowStats stats =
          kCentre ? row_stats(from, length)
                  : RowStats{.mean = 0,
                             .variance = row_sum(from, length, [](double v) { return v * v; }) /
                                         static_cast<double>(length)};
      const T mean = static_cast<T>(stats.mean);
      const T inverse = static_cast<T>(1 / std::sqrt(stats.variance + epsilon));
      if (statistics[1] != nullptr) statistics[1][row] = mean;
      if (statistics[2] != nullptr) statistics[2][row] = inverse;
      for (int64_t i = 0; i < length; ++i) to[i] = (from[i] - mean) * inverse * gain[i];
      if (offset == nullptr) continue;
      for (int64_t i = 0; i < length; ++i) to[i] += offset[i];
    }
  });
}

/// `groups` groups of adjacent channels, each normalized over its channels and positions; scale and
/// bias per channel, or per group (GroupNormalization-18).
template <typename T>
void normalize_groups(EvalContext& context, int64_t groups) {
  const Tensor& in = context.input(0);
  if (in.shape().rank() < 2) fail(ErrorCode::invalid_model, "the data has no channel axis");
  const int64_t channels = in.shape()[1];
  if (groups <= 0 || channels % groups != 0) {
    fail(ErrorCode::invalid_model, "{} channels do not divide into {} groups", channels, groups);
  }
  const int64_t inner = in.shape().elements(2, in.shape().rank());
  const int64_t per_group = channels / groups;
  const int64_t length = per_group * inner;
  for (size_t i = 1; i < 3; ++i) {
    const int64_t have = context.input(i).elements();
    if (have == channels || (have == groups && context.opset < 21)) continue;
    fail(ErrorCode::invalid_model, "input {} has shape {}, but the data has {} channels", i,
         context.input(i).shape().to_string(), channels);
  }
  const bool by_group = context.input(1).elements() != channels;
  const double epsilon = static_cast<double>(context.node.attributes.real("epsilon", 1e-5F));
  Tensor& out = context.output(0, in.dtype(), in.shape());
  const T* x = in.data<T>().data();
  T* y = out.data<T>().data();
  const T* scale = context.input(1).data<T>().data();
  const T* bias = context.input(2).data<T>().data();
  const int64_t rows = in.shape()[0] * groups;
  context.pool.parallel_ranges(rows, row_grain(length), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const RowStats stats = row_stats(x + row * length, length);
      const double inverse = 1 / std::sqrt(stats.variance + epsilon);
      for (int64_t k = 0; k < per_group; ++k) {
        const int64_t channel = by_group ? row % groups : row % groups * per_group + k;
        const double gain = static_cast<double>(scale[channel]) * inverse;
        const T a = static_cast<T>(gain);
        const T b = static_cast<T>(static_cast<double>(bias[channel]) - stats.mean * gain);
        const int64_t start = row * length + k * inner;
        for (int64_t i = 0; i < inner; ++i) y[start + i] = x[start + i] * a + b;
      }
    }
  });
}

template <typename T>
void eval_instance(EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  normalize_groups<T>(context, shape.rank() > 1 ? shape[1] : 0);
}

template <typename T>
void eval_group(EvalContext& context) {
  normalize_groups<T>(context, context.node.attributes.required_integer("num_groups"));
}

template <EvalSignature* f32, EvalSignature* f64>
void eval_float(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (dtype == DType::f32) return f32(context);
  if (dtype == DType::f64) return f64(context);
  if (is_half(dtype)) return eval_as_f32(context, f32);
  fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
}

void eval_layer_norm(EvalContext& context) {
  eval_float<eval_rows<float, true>, eval_rows<double, true>>(context);
}

void eval_add_layer_norm(EvalContext& context) {
  const Tensor& data = context.input(0);
  Tensor sum(data.dtype(), broadcast_shapes(data.shape(), context.input(1).shape()));
  zip<kFloats>(context.pool, data, context.input(1), sum, [](auto a, auto b) { return a + b; });
  Node norm = context.node;
  norm.outputs.resize(1);
  const std::array inputs = {sum, context.input(2), context.has(3) ? context.input(3) : Tensor()};
  std::array<Tensor, 1> outputs;
  EvalContext normalized(norm, context.opset, inputs, outputs, context.pool);
  eval_layer_norm(normalized);
  context.set_output(0, outputs[0]);
  if (context.wants(1)) context.set_output(1, sum);
}

std::vector<TensorType> infer_groups(const NodeTypes& types) {
  for (size_t i = 1; i < types.input_count(); ++i) require_type_of_data(types, i);
  return infer_same(types);
}

std::vector<TensorType> infer_rows(const NodeTypes& types) {
  std::vector<TensorType> outputs = infer_groups(types);
  const Shape& shape = types.shape(0);
  Shape statistics = Shape::unknown_rank();
  if (shape.has_rank()) {
    const int axis = normalize_axis(types.node.attributes.integer("axis", -1), shape.rank());
    statistics = statistics_shape(shape, axis);
  }
  while (outputs.size() < types.node.outputs.size()) {
    outputs.push_back(typed(types.input(0).dtype, statistics));
  }
  return outputs;
}

std::vector<TensorType> infer_sum(const NodeTypes& types) {
  return std::vector<TensorType>(types.node.outputs.size(),
                                 typed(types.input(0).dtype, types.shape(0)));
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 3,
          .infer = infer,
          .eval = eval,
          .kernels = "eval already runs row by row in place",
          .why_float = "divides by a deviation computed at run time: stays in float",
          .gradient = Gradient::autograd};
}

constexpr OpRow layer_norm_row() {
  OpRow result = row("LayerNormalization", infer_rows, eval_layer_norm);
  result.max_outputs = 3;
  result.kernels = kLayerNormKernels;
  return result;
}

// Data, addend, gain, bias -> the sum normalized, and the sum: of one shape.
constexpr OpRow add_layer_norm_row() {
  return {.name = "AddLayerNormalization",
          .domain = "nibble",
          .min_inputs = 3,
          .max_inputs = 4,
          .max_outputs = 2,
          .infer = infer_sum,
          .eval = eval_add_layer_norm,
          .kernels = kAddLayerNormKernels,
          .why_float = "divides by a deviation computed at run time: stays in float"};
}

constexpr std::array kRows = {
    layer_norm_row(),
    add_layer_norm_row(),
    row("RMSNormalization", infer_rows,
        eval_float<eval_rows<float, false>, eval_rows<double, false>>),
    row("InstanceNormalization", infer_groups,
        eval_float<eval_instance<float>, eval_instance<double>>),
    row("GroupNormalization", infer_groups, eval_float<eval_group<float>, eval_group<double>>),
};

}  // namespace

std::span<const OpRow> layer_norm_ops() { return kRows; }

}  // namespace nibble
