// OneHot, NonZero, Unique, Trilu, ReverseSequence, CenterCropPad.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/indices.h"
#include "ops/support/strided_copy.h"

namespace nibble {
namespace {

// ---- OneHot

Shape one_hot_shape(const Node& node, const Shape& indices, int64_t depth) {
  const int axis = normalize_axis(node.attributes.integer("axis", -1), indices.rank() + 1);
  Shape shape;
  for (int i = 0; i <= indices.rank(); ++i) {
    shape.push_back(i == axis ? depth : indices[i < axis ? i : i - 1]);
  }
  return shape;
}

int64_t depth_of(const Tensor& depth) {
  const int64_t value =
      depth.elements() == 1 ? convert(depth, DType::i64).data<int64_t>()[0] : int64_t{-1};
  if (value >= 0) return value;
  fail(ErrorCode::invalid_model, "the depth {}{} is not one number of at least 0",
       name_of(depth.dtype()), depth.shape().to_string());
}

std::vector<TensorType> infer_one_hot(const NodeTypes& types) {
  TensorType type{.dtype = types.input(2).dtype};
  if (types.shape(0).has_rank()) {
    const int64_t depth =
        types.constant(1) != nullptr ? depth_of(*types.constant(1)) : Shape::kUnknown;
    type.shape = one_hot_shape(types.node, types.shape(0), depth);
  }
  return {type};
}

void eval_one_hot(EvalContext& context) {
  const Tensor& values = context.input(2);
  if (values.elements() != 2) {
    fail(ErrorCode::invalid_model, "the values {} are not two: off and on",
         values.shape().to_string());
  }
  const int64_t depth = depth_of(context.input(1));
  const Shape shape = one_hot_shape(context.node, context.input(0).shape(), depth);
  const int axis = normalize_axis(context.node.attributes.integer("axis", -1), shape.rank());
  const Tensor indices = convert(context.input(0), DType::i64);
  const int64_t inner = shape.elements(axis + 1, shape.rank());
  Tensor& out = context.output(0, values.dtype(), shape);
  with_type(values.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const std::span<T> to = out.data<T>();
    std::ranges::fill(to, values.data<T>()[0]);
    int64_t i = 0;
    for (int64_t index : indices.data<int64_t>()) {
      const int64_t at = index < 0 ? index + depth : index;
      if (at >= 0 && at < depth) {
        const int64_t place = (i / inner * depth + at) * inner + i % inner;
        to[static_cast<size_t>(place)] = values.data<T>()[1];
      }
      ++i;
    }
  });
}

// ---- NonZero

std::vector<TensorType> infer_non_zero(const NodeTypes& types) {
  const int rank = types.shape(0).rank();
  return {{.dtype = DType::i64, .shape = {rank < 0 ? Shape::kUnknown : rank, Shape::kUnknown}}};
}

void eval_non_zero(EvalContext& context) {
  const Tensor& in = context.input(0);
  const Tensor set = convert(in, DType::boolean);
  std::vector<int64_t> found;
  for (size_t i = 0; i < set.data<bool>().size(); ++i) {
    if (set.data<bool>()[i]) found.push_back(static_cast<int64_t>(i));
  }
  const auto count = static_cast<int64_t>(found.size());
  const int rank = in.shape().rank();
  Tensor& out = context.output(0, DType::i64, {rank, count});
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = found[static_cast<size_t>(i)];
    for (int axis = rank - 1; axis >= 0; --axis) {
      out.data<int64_t>()[static_cast<size_t>(axis * count + i)] = rest % in.shape()[axis];
      rest /= in.shape()[axis];
    }
  }
}

// ---- Unique

std::vector<TensorType> infer_unique(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype, .shape = {Shape::kUnknown}};
  if (types.node.attributes.has("axis") && types.shape(0).has_rank()) {
    type.shape = types.shape(0);
    type.shape[normalize_axis(types.node.attributes.integer("axis", 0), type.shape.rank())] =
        Shape::kUnknown;
  }
  std::vector<TensorType> outputs(std::max<size_t>(1, types.node.outputs.size()),
                                  {.dtype = DType::i64, .shape = {Shape::kUnknown}});
  outputs[0] = type;
  return outputs;
}

// Slices along an axis, compared element by element; order[k] is the k-th distinct slice's first
// occurrence.
struct Distinct {
  std::vector<int64_t> first, inverse, counts;
};

template <typename Less>
Distinct find_distinct(int64_t extent, bool sorted, const Less& less) {
  std::vector<int64_t> order(static_cast<size_t>(extent));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, less);
  struct Group {
    int64_t first = 0;
    std::vector<int64_t> members;
  };
  std::vector<Group> groups;
  for (int64_t at : order) {
    if (groups.empty() || less(groups.back().first, at)) groups.push_back({at, {}});
    groups.back().members.push_back(at);
  }
  if (!sorted) std::ranges::sort(groups, {}, &Group::first);
  Distinct result;
  result.inverse.resize(static_cast<size_t>(extent));
  for (const Group& group : groups) {
    for (int64_t member : group.members) {
      result.inverse[static_cast<size_t>(member)] = static_cast<int64_t>(result.first.size());
    }
    result.first.push_back(group.first);
    result.counts.push_back(static_cast<int64_t>(group.members.size()));
  }
  return result;
}

void eval_unique(EvalContext& context) {
  Tensor data = context.input(0);
  if (is_half(data.dtype())) return eval_as_f32(context, eval_unique);
  int axis = 0;
  if (context.node.attributes.has("axis")) {
    axis = normalize_axis(context.node.attributes.integer("axis", 0), data.shape().rank());
  } else {
    data = data.reshaped({data.elements()});
  }
  const Shape shape = data.shape();
  const int64_t extent = shape[axis], outer = shape.elements(0, axis);
  const int64_t inner = shape.elements(axis + 1, shape.rank());
  const bool sorted = context.node.attributes.integer("sorted", 1) != 0;
  with_type(data.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      const T* from = data.data<T>().data();
      const auto less = [&](int64_t a, int64_t b) {
        for (int64_t o = 0; o < outer; ++o) {
          for (int64_t i = 0; i < inner; ++i) {
            const T x = from[(o * extent + a) * inner + i], y = from[(o * extent + b) * inner + i];
            if (x != y) return x < y;
          }
        }
        return false;
      };
      const Distinct distinct = find_distinct(extent, sorted, less);
      Shape result = shape;
      result[axis] = static_cast<int64_t>(distinct.first.size());
      T* to = context.output(0, data.dtype(), result).template data<T>().data();
      for (int64_t o = 0; o < outer; ++o) {
        for (int64_t at : distinct.first) {
          to = std::copy_n(from + (o * extent + at) * inner, inner, to);
        }
      }
      const auto give = [&](size_t output, const std::vector<int64_t>& values) {
        if (!context.wants(output)) return;
        context.set_output(output,
                           Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
      };
      give(1, distinct.first);
      give(2, distinct.inverse);
      give(3, distinct.counts);
    }
  });
}

// ---- Trilu

std::vector<TensorType> infer_same(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = types.shape(0)}};
}

void eval_trilu(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval_trilu);
  const Shape shape = context.input(0).shape();
  if (shape.rank() < 2) {
    fail(ErrorCode::invalid_model, "the input {} holds no matrices", shape.to_string());
  }
  const bool upper = context.node.attributes.integer("upper", 1) != 0;
  const int64_t k = context.has(1) ? to_int64s(context.input(1)).at(0) : 0;
  context.set_output(0, context.input(0));
  Tensor& out = context.output(0, context.input(0).dtype(), shape);
  const int64_t rows = shape[shape.rank() - 2], columns = shape[shape.rank() - 1];
  const size_t size = element_bytes(out.dtype());
  auto* to = static_cast<std::byte*>(out.raw());
  for (int64_t row = 0; row < shape.elements(0, shape.rank() - 1); ++row) {
    const int64_t diagonal = std::clamp<int64_t>(row % rows + k + (upper ? 0 : 1), 0, columns);
    const int64_t begin = upper ? 0 : diagonal, end = upper ? diagonal : columns;
    std::memset(to + static_cast<size_t>(row * columns + begin) * size, 0,
                static_cast<size_t>(end - begin) * size);
  }
}

// ---- ReverseSequence

void eval_reverse_sequence(EvalContext& context) {
  const Tensor& in = context.input(0);
  const Shape& shape = in.shape();
  const int time = normalize_axis(context.node.attributes.integer("time_axis", 0), shape.rank());
  const int batch = normalize_axis(context.node.attributes.integer("batch_axis", 1), shape.rank());
  const std::vector<int64_t> lengths = to_int64s(context.input(1));
  if (time == batch || static_cast<int64_t>(lengths.size()) != shape[batch]) {
    fail(ErrorCode::invalid_model, "{} lengths do not fit the data {} with time axis {}, batch {}",
         lengths.size(), shape.to_string(), time, batch);
  }
  for (int64_t length : lengths) {
    if (length < 0 || length > shape[time]) {
      fail(ErrorCode::invalid_data, "a sequence of {} steps does not fit {} along axis {}", length,
           shape.to_string(), time);
    }
  }
  if (in.elements() == 0) return context.set_output(0, in);
  const auto strides = dense_strides(shape);
  Tensor& out = context.output(0, in.dtype(), shape);
  const size_t size = element_bytes(in.dtype());
  const int last = std::max(time, batch);
  const int64_t inner = shape.elements(last + 1, shape.rank());
  const size_t run = size * static_cast<size_t>(inner);
  const auto t_step = strides[static_cast<size_t>(time)];
  const auto b_step = strides[static_cast<size_t>(batch)];
  for (int64_t i = 0; i < in.elements(); i += inner) {
    const int64_t t = i / t_step % shape[time];
    const int64_t length = lengths.at(static_cast<size_t>(i / b_step % shape[batch]));
    const int64_t from = t < length ? i + (length - 1 - 2 * t) * t_step : i;
    std::memcpy(static_cast<std::byte*>(out.raw()) + static_cast<size_t>(i) * size,
                static_cast<const std::byte*>(in.raw()) + static_cast<size_t>(from) * size, run);
  }
}

// ---- CenterCropPad

Shape cropped_or_padded(const Node& node, const Shape& shape, std::span<const int64_t> target) {
  const std::vector<int64_t> axes = node.attributes.integers("axes");
  if (target.size() != (axes.empty() ? static_cast<size_t>(shape.rank()) : axes.size())) {
    fail(ErrorCode::invalid_model, "{} extents for {}", target.size(), shape.to_string());
  }
  Shape result = shape;
  for (size_t i = 0; i < target.size(); ++i) {
    result[axes.empty() ? static_cast<int>(i) : normalize_axis(axes[i], shape.rank())] = target[i];
  }
  return result;
}

std::vector<TensorType> infer_center_crop_pad(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.constant(1) != nullptr) {
    type.shape = cropped_or_padded(types.node, types.shape(0), to_int64s(*types.constant(1)));
  }
  return {type};
}

void eval_center_crop_pad(EvalContext& context) {
  const Tensor& in = context.input(0);
  const Shape shape = cropped_or_padded(context.node, in.shape(), to_int64s(context.input(1)));
  Tensor& out = context.output(0, in.dtype(), shape);
  std::memset(out.raw(), 0, out.bytes());
  const auto from = dense_strides(in.shape()), to = dense_strides(shape);
  StridedCopy plan;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    const int64_t surplus = in.shape()[axis] - shape[axis];  // cropped if positive, else padded
    plan.source_offset += std::max<int64_t>(0, surplus) / 2 * from[a];
    plan.target_offset += std::max<int64_t>(0, -surplus) / 2 * to[a];
    plan.add_axis(std::min(in.shape()[axis], shape[axis]), from[a], to[a]);
  }
  copy(plan, element_bytes(in.dtype()), in.raw(), out.raw(), context.pool);
}

constexpr const char* kPlain = "plain loops: nothing to prepare";

constexpr std::array kRows = {
    OpRow{.name = "OneHot",
          .min_inputs = 3,
          .max_inputs = 3,
          .infer = infer_one_hot,
          .eval = eval_one_hot,
          .kernels = kPlain,
          .why_float = "makes values out of indices",
          .tolerance = 0},
    OpRow{.name = "NonZero",
          .infer = infer_non_zero,
          .eval = eval_non_zero,
          .kernels = "its output's shape depends on the data",
          .why_float = "gives indices",
          .tolerance = 0},
    OpRow{.name = "Unique",
          .max_outputs = 4,
          .infer = infer_unique,
          .eval = eval_unique,
          .kernels = "its output's shape depends on the data",
          .why_float = "rare: evaluated in float",
          .tolerance = 0},
    OpRow{.name = "Trilu",
          .max_inputs = 2,
          .infer = infer_same,
          .eval = eval_trilu,
          .kernels = kPlain,
          .why_float = "rare: evaluated in float",
          .gradient = Gradient::autograd,
          .tolerance = 0},
    OpRow{.name = "ReverseSequence",
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_same,
          .eval = eval_reverse_sequence,
          .kernels = kMovedByEval,
          .quant = QuantRole::same_codes,
          .tolerance = 0},
    OpRow{
        .name = "CenterCropPad",
        .min_inputs = 2,
        .max_inputs = 2,
        .infer = infer_center_crop_pad,
        .eval = eval_center_crop_pad,
        .kernels = "its zeros are no code: evaluated in real numbers, where zero is on every grid",
        .quant = QuantRole::same_codes,
        .tolerance = 0},
};

}  // namespace

std::span<const OpRow> select_ops() { return kRows; }

}  // namespace nibble
