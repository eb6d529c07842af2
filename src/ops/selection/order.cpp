// ArgMax, ArgMin, TopK and CumSum: operators along one axis. A tensor is [outer, count, inner]
// there.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

struct Slices {
  int64_t outer;
  int64_t count;
  int64_t inner;

  Slices(const Shape& shape, int axis)
      : outer(shape.elements(0, axis)),
        count(shape[axis]),
        inner(shape.elements(axis + 1, shape.rank())) {}

  int64_t slices() const { return outer * inner; }
  /// Element `i` of slice `slice` is at start(slice, count) + i * inner, where `count` is that of
  /// the tensor addressed.
  int64_t start(int64_t slice, int64_t extent) const {
    return slice / inner * extent * inner + slice % inner;
  }
  int64_t grain() const { return std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, count)); }
};

template <typename T>
T number(T x) {
  return x;
}
float number(Half x) { return to_float(x); }
float number(BFloat16 x) { return to_float(x); }

// A strict weak order in which NaN is the largest.
template <typename T>
bool less(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(b)) return !std::isnan(a);
  }
  return a < b;
}

Shape without_axis(const Shape& shape, int axis, bool keep) {
  Shape result;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != axis) result.push_back(shape[i]);
    if (i == axis && keep) result.push_back(1);
  }
  return result;
}

template <bool kLargest>
void eval_arg(EvalContext& context) {
  const Tensor& in = context.input(0);
  const auto& attributes = context.node.attributes;
  const int axis = normalize_axis(attributes.integer("axis", 0), in.shape().rank());
  const bool last = attributes.integer("select_last_index", 0) != 0;
  const bool keep = attributes.integer("keepdims", 1) != 0;
  const Slices at(in.shape(), axis);
  if (at.count == 0) fail(ErrorCode::invalid_data, "axis {} has no elements to choose from", axis);
  Tensor& out = context.output(0, DType::i64, without_axis(in.shape(), axis, keep));
  int64_t* indices = out.data<int64_t>().data();
  with_type(in.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* values = in.data<T>().data();
    context.pool.parallel_ranges(at.slices(), at.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t slice = begin; slice < end; ++slice) {
        const T* x = values + at.start(slice, at.count);
        int64_t best = 0;
        for (int64_t i = 1; i < at.count; ++i) {
          const auto challenger = number(x[i * at.inner]);
          const auto holder = number(x[best * at.inner]);
          const bool better = kLargest ? less(holder, challenger) : less(challenger, holder);
          const bool worse = kLargest ? less(challenger, holder) : less(holder, challenger);
          if (better || (last && !worse)) best = i;
        }
        indices[slice] = best;
      }
    });
  });
}

std::vector<TensorType> infer_arg(const NodeTypes& types) {
  const Shape& shape = types.shape(0);
  if (!shape.has_rank()) return one_output(DType::i64, Shape::unknown_rank());
  const int axis = normalize_axis(types.node.attributes.integer("axis", 0), shape.rank());
  const bool keep = types.node.attributes.integer("keepdims", 1) != 0;
  return one_output(DType::i64, without_axis(shape, axis, keep));
}

// K is an attribute before opset 10.
void require_k(int64_t k, int64_t count) {
  if (k < 0 || (count >= 0 && k > count)) {
    fail(ErrorCode::invalid_model, "K is {}, but the axis has {} elements", k, count);
  }
}

template <typename T>
void top_k(EvalContext& context, const Slices& at, int64_t k, Tensor& values, Tensor& indices) {
  const bool largest = context.node.attributes.integer("largest", 1) != 0;
  const T* in = context.input(0).data<T>().data();
  T* best = values.data<T>().data();
  int64_t* where = indices.data<int64_t>().data();
  context.pool.parallel_ranges(at.slices(), at.grain(), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> order(static_cast<size_t>(at.count));
    for (int64_t slice = begin; slice < end; ++slice) {
      const T* x = in + at.start(slice, at.count);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int64_t a, int64_t b) {
        const auto left = number(x[a * at.inner]);
        const auto right = number(x[b * at.inner]);
        if (largest ? less(right, left) : less(left, right)) return true;
        if (largest ? less(left, right) : less(right, left)) return false;
        return a < b;
      });
      const int64_t start = at.start(slice, k);
      for (int64_t i = 0; i < k; ++i) {
        best[start + i * at.inner] = x[order[static_cast<size_t>(i)] * at.inner];
        where[start + i * at.inner] = order[static_cast<size_t>(i)];
      }
    }
  });
}

void eval_top_k(EvalContext& context) {
  const Tensor& in = context.input(0);
  const int axis = normalize_axis(context.node.attributes.integer("axis", -1), in.shape().rank());
  const Slices at(in.shape(), axis);
  const int64_t k = context.has(1) ? to_int64s(context.input(1)).at(0)
                                   : context.node.attributes.required_integer("k");
  require_k(k, at.count);
  Shape shape = in.shape();
  shape[axis] = k;
  Tensor& values = context.output(0, in.dtype(), shape);
  Tensor& indices = context.output(1, DType::i64, shape);
  with_type(in.dtype(), [&](auto zero) { top_k<decltype(zero)>(context, at, k, values, indices); });
}

std::vector<TensorType> infer_top_k(const NodeTypes& types) {
  Shape shape = types.shape(0);
  if (shape.has_rank()) {
    const int axis = normalize_axis(types.node.attributes.integer("axis", -1), shape.rank());
    const Tensor* constant = types.constant(1);
    const bool attribute = types.node.attributes.has("k");
    if (constant != nullptr || attribute) {
      const int64_t k =
          attribute ? types.node.attributes.required_integer("k") : to_int64s(*constant).at(0);
      require_k(k, shape[axis]);
      shape[axis] = k;
    } else {
      shape[axis] = Shape::kUnknown;
    }
  }
  return {typed(types.input(0).dtype, shape), typed(DType::i64, shape)};
}

void eval_cum_sum(EvalContext& context) {
  const Tensor& in = context.input(0);
  const std::vector<int64_t> axes = to_int64s(context.input(1));
  if (axes.size() != 1) fail(ErrorCode::invalid_model, "'axis' has {} values, not 1", axes.size());
  const Slices at(in.shape(), normalize_axis(axes[0], in.shape().rank()));
  const bool exclusive = context.node.attributes.integer("exclusive", 0) != 0;
  const bool reverse = context.node.attributes.integer("reverse", 0) != 0;
  Tensor& out = context.output(0, in.dtype(), in.shape());
  with_compute_type<kNumbers>(in.dtype(), [&](auto zero) {
    using C = decltype(zero);
    using A = std::conditional_t<std::is_same_v<C, float>, double,
                                 std::conditional_t<std::is_integral_v<C>, uint64_t, C>>;
    context.pool.parallel_ranges(at.slices(), at.grain(), [&](int64_t begin, int64_t end) {
      for (int64_t slice = begin; slice < end; ++slice) {
        A sum{0};
        for (int64_t i = 0; i < at.count; ++i) {
          const int64_t along = reverse ? at.count - 1 - i : i;
          const int64_t element = at.start(slice, at.count) + along * at.inner;
          C x{};
          x = *load(in, element, 1, &x);
          const A next = sum + static_cast<A>(x);
          C y{};
          C* to = place(out, element, &y);
          *to = static_cast<C>(exclusive ? sum : next);
          store(out, element, 1, to);
          sum = next;
        }
      }
    });
  });
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .infer = infer,
          .eval = eval,
          .kernels = "eval already reads each element once",
          .why_float = "gives indices, not codes",
          .gradient = Gradient::none,
          .tolerance = 0};
}

constexpr OpRow top_k_row() {
  OpRow result = row("TopK", infer_top_k, eval_top_k);
  result.max_inputs = 2;
  result.min_outputs = result.max_outputs = 2;
  result.why_float = "its indices are needed with its values: stays in float";
  result.gradient = Gradient::autograd;
  return result;
}

constexpr OpRow cum_sum_row() {
  OpRow result = row("CumSum", infer_same, eval_cum_sum);
  result.min_inputs = result.max_inputs = 2;
  result.why_float = "a running sum outgrows 8 bits: stays in float";
  result.gradient = Gradient::autograd;
  result.tolerance = 1e-5;
  return result;
}

constexpr std::array kRows = {
    row("ArgMax", infer_arg, eval_arg<true>),
    row("ArgMin", infer_arg, eval_arg<false>),
    top_k_row(),
    cum_sum_row(),
};

}  // namespace

std::span<const OpRow> order_ops() { return kRows; }

}  // namespace nibble
