// Operators that copy a tensor with one stride per axis: Slice, Expand, Tile, Pad.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/broadcast.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"
#include "ops/support/strided_copy.h"

namespace nibble {
namespace {

struct Copy {
  static constexpr std::string_view kName = "strided copy";
  StridedCopy plan;
  Shape output;

  void operator()(EvalContext& context) const {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, in.dtype(), output);
    copy(plan, element_bytes(in.dtype()), in.raw(), out.raw(), context.pool);
  }
};

// ---- Slice

struct SliceAxes {
  bool known = true;
  std::vector<int64_t> starts, ends, axes, steps;
  bool steps_given = false, axes_given = false;
};

template <typename Source>
SliceAxes slice_axes(const Source& source) {
  SliceAxes slice;
  const auto take = [&](size_t input, std::string_view name, std::vector<int64_t>& out) {
    if constexpr (std::is_same_v<Source, NodeTypes>) {
      const KnownIntegers list = integers_of(source, input, name);
      slice.known = slice.known && list.known;
      out = list.values;
      return list.given;
    } else {
      const auto list = integers_of(source, input, name);
      if (list) out = *list;
      return list.has_value();
    }
  };
  take(1, "starts", slice.starts);
  take(2, "ends", slice.ends);
  slice.axes_given = take(3, "axes", slice.axes);
  slice.steps_given = take(4, "steps", slice.steps);
  if (!slice.known) return slice;
  for (size_t i = 0; i < slice.starts.size(); ++i) {
    if (!slice.axes_given) slice.axes.push_back(static_cast<int64_t>(i));
    if (!slice.steps_given) slice.steps.push_back(1);
  }
  const size_t count = slice.starts.size();
  if (slice.ends.size() != count || slice.axes.size() != count || slice.steps.size() != count) {
    fail(ErrorCode::invalid_model, "starts, ends, axes and steps differ in length");
  }
  return slice;
}

// Unknown extents give unknown extents; the copy is only valid for static shapes.
Copy make_slice(const Shape& shape, const SliceAxes& slice) {
  Copy result{.output = shape};
  std::array<int64_t, Shape::kMaxRank> start{}, step{};
  step.fill(1);
  for (size_t i = 0; i < slice.starts.size(); ++i) {
    const int axis = normalize_axis(slice.axes[i], shape.rank());
    const auto a = static_cast<size_t>(axis);
    const int64_t extent = shape[axis];
    step[a] = slice.steps[i];
    if (step[a] == 0) fail(ErrorCode::invalid_model, "a step of Slice is 0");
    if (extent < 0) {
      const bool whole = slice.starts[i] == 0 && step[a] == 1 && slice.ends[i] >= INT32_MAX;
      result.output[axis] = whole ? extent : Shape::kUnknown;
      continue;
    }
    const bool forward = step[a] > 0;
    const auto clamp = [&](int64_t at) {
      if (at < 0) at += extent;
      return std::clamp<int64_t>(at, forward ? 0 : -1, forward ? extent : extent - 1);
    };
    // Walking backwards, an end far below zero means "down to the first", not the last but some.
    start[a] = clamp(slice.starts[i]);
    if (!forward && slice.starts[i] < -extent) start[a] = 0;
    int64_t end = clamp(slice.ends[i]);
    if (!forward && slice.ends[i] < -extent) end = -1;
    const int64_t span = forward ? end - start[a] : start[a] - end;
    const int64_t stride = forward ? step[a] : -step[a];
    result.output[axis] = span <= 0 ? 0 : (span + stride - 1) / stride;
  }
  if (!shape.is_static()) return result;
  result.output.elements();  // throws if strides would overflow
  const auto in = dense_strides(shape), out = dense_strides(result.output);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    result.plan.source_offset += start[a] * in[a];
    result.plan.add_axis(result.output[axis], step[a] * in[a], out[a]);
  }
  return result;
}

std::vector<TensorType> infer_slice(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (!types.shape(0).has_rank()) return {type};
  const SliceAxes slice = slice_axes(types);
  type.shape = types.shape(0);
  if (slice.known) {
    type.shape = make_slice(types.shape(0), slice).output;
  } else {
    const KnownIntegers axes = integers_of(types, 3, "axes");
    const bool some = axes.given && axes.known;
    const AxisSet cut =
        some ? normalize_axes(axes.values, type.shape.rank()) : AxisSet::all(type.shape.rank());
    for (int axis = 0; axis < type.shape.rank(); ++axis) {
      if (cut.contains(axis)) type.shape[axis] = Shape::kUnknown;
    }
  }
  return {type};
}

void eval_slice(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_slice);
  make_slice(context.input(0).shape(), slice_axes(context))(context);
}

std::unique_ptr<Kernel> prepare_slice(const KernelSpec& spec) {
  const SliceAxes slice = slice_axes(spec.types);
  const TensorType& in = spec.types.input(0);
  if (!slice.known || !in.shape.is_static() || is_packed(in.dtype)) return nullptr;
  return make_prepared(make_slice(in.shape, slice));
}

// ---- Expand, Tile

Copy make_expand(const Shape& shape, std::span<const int64_t> target) {
  Copy result{.output = broadcast_shapes(shape, Shape(target))};
  if (!shape.is_static()) return result;
  result.output.elements();  // throws if strides would overflow
  const auto in = dense_strides(shape), out = dense_strides(result.output);
  const int shift = result.output.rank() - shape.rank();
  for (int axis = 0; axis < result.output.rank(); ++axis) {
    const bool repeated = axis < shift || shape[axis - shift] == 1;
    const int64_t step = repeated ? 0 : in[static_cast<size_t>(axis - shift)];
    result.plan.add_axis(result.output[axis], step, out[static_cast<size_t>(axis)]);
  }
  return result;
}

Copy make_tile(const Shape& shape, std::span<const int64_t> repeats) {
  if (static_cast<int>(repeats.size()) != shape.rank()) {
    fail(ErrorCode::invalid_model, "{} repeats for {}", repeats.size(), shape.to_string());
  }
  Copy result{.output = shape};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const int64_t times = repeats[static_cast<size_t>(axis)];
    if (times < 0) fail(ErrorCode::invalid_model, "a repeat of Tile is {}", times);
    if (shape[axis] >= 0 && __builtin_mul_overflow(shape[axis], times, &result.output[axis])) {
      fail(ErrorCode::invalid_model, "{} repeated {} times is larger than memory",
           shape.to_string(), times);
    }
  }
  if (!shape.is_static()) return result;
  const auto in = dense_strides(shape), out = dense_strides(result.output);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    result.plan.add_axis(repeats[a], 0, out[a] * shape[axis]);
    result.plan.add_axis(shape[axis], in[a], out[a]);
  }
  return result;
}

template <Copy make(const Shape&, std::span<const int64_t>)>
std::vector<TensorType> infer_by_list(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  const KnownIntegers list = integers_of(types, 1, "");
  if (types.shape(0).has_rank() && list.known) {
    type.shape = make(types.shape(0), list.values).output;
  }
  return {type};
}

template <Copy make(const Shape&, std::span<const int64_t>)>
void eval_by_list(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_by_list<make>);
  make(context.input(0).shape(), to_int64s(context.input(1)))(context);
}

template <Copy make(const Shape&, std::span<const int64_t>)>
std::unique_ptr<Kernel> prepare_by_list(const KernelSpec& spec) {
  const TensorType& in = spec.types.input(0);
  const Tensor* list = spec.types.constant(1);
  if (list == nullptr || !in.shape.is_static() || is_packed(in.dtype)) return nullptr;
  return make_prepared(make(in.shape, to_int64s(*list)));
}

template <auto prepare>
constexpr std::array kKernels = {on_elements("slice", prepare), kEvalOnCodes};

template <auto prepare>
constexpr OpRow row(std::string_view name, int min_inputs, int max_inputs, InferSignature* infer,
                    EvalSignature* eval) {
  return {.name = name,
          .min_inputs = min_inputs,
          .max_inputs = max_inputs,
          .infer = infer,
          .eval = eval,
          .kernels = kKernels<prepare>,
          .quant = QuantRole::same_codes,
          .gradient = Gradient::autograd,
          .tolerance = 0};
}

constexpr std::array kRows = {
    row<prepare_slice>("Slice", 1, 5, infer_slice, eval_slice),
    row<prepare_by_list<make_expand>>("Expand", 2, 2, infer_by_list<make_expand>,
                                      eval_by_list<make_expand>),
    row<prepare_by_list<make_tile>>("Tile", 2, 2, infer_by_list<make_tile>,
                                    eval_by_list<make_tile>),
};

}  // namespace

std::span<const OpRow> slice_ops() { return kRows; }

}  // namespace nibble
