// ReduceSum, ReduceMean, ... over any set of axes. Floats accumulate in double, so the result does
// not depend on the number of elements; integers accumulate in 64 bits.
#include <array>
#include <cmath>
#include <limits>

#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

// Each reduction: value(x) of an element, combine(a, b), the neutral element, and finish(sum,
// count).
struct SumBase {
  template <typename A>
  static A neutral(DType) {
    return A{0};
  }
  template <typename A>
  static A value(A x) {
    return x;
  }
  template <typename A>
  static A combine(A a, A b) {
    if constexpr (std::is_integral_v<A>) {  // wraps
      return static_cast<A>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    } else {
      return a + b;
    }
  }
  template <typename A>
  static A finish(A sum, int64_t) {
    return sum;
  }
};
struct Mean : SumBase {
  template <typename A>
  static A finish(A sum, int64_t count) {
    if constexpr (std::is_integral_v<A>) {
      if (count == 0) fail(ErrorCode::invalid_data, "the mean of no integers");
    }
    return sum / static_cast<A>(count);
  }
};
struct L1 : SumBase {
  template <typename A>
  static A value(A x) {
    return x < A{0} ? A{0} - x : x;
  }
};
struct SumSquare : SumBase {
  template <typename A>
  static A value(A x) {
    return x * x;
  }
};
struct L2 : SumSquare {
  template <typename A>
  static A finish(A sum, int64_t) {
    return std::sqrt(sum);
  }
};
struct LogSum : SumBase {
  template <typename A>
  static A finish(A sum, int64_t) {
    return std::log(sum);
  }
};
struct Prod : SumBase {
  template <typename A>
  static A neutral(DType) {
    return A{1};
  }
  template <typename A>
  static A combine(A a, A b) {
    if constexpr (std::is_integral_v<A>) {
      return static_cast<A>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    } else {
      return a * b;
    }
  }
};
struct Max : SumBase {
  template <typename A>
  static A neutral(DType dtype) {
    if constexpr (std::is_same_v<A, double>) return -std::numeric_limits<A>::infinity();
    if (bits_of(dtype) > 32) return std::numeric_limits<A>::lowest();
    return static_cast<A>(lowest_of(dtype));
  }
  template <typename A>
  static A combine(A a, A b) {
    return a > b || a != a ? a : b;
  }
};
struct Min : SumBase {
  template <typename A>
  static A neutral(DType dtype) {
    if constexpr (std::is_same_v<A, double>) return std::numeric_limits<A>::infinity();
    if (bits_of(dtype) > 32) return std::numeric_limits<A>::max();
    return static_cast<A>(highest_of(dtype));
  }
  template <typename A>
  static A combine(A a, A b) {
    return a < b || a != a ? a : b;
  }
};

/// A shape cut into kept and reduced axes, neighbours of one kind merged and extents of 1 dropped.
struct Partition {
  struct Axes {
    int rank = 0;
    std::array<int64_t, Shape::kMaxRank> extent{};
    std::array<int64_t, Shape::kMaxRank> stride{};

    int64_t elements() const {
      int64_t product = 1;
      for (int i = 0; i < rank; ++i) product *= extent[static_cast<size_t>(i)];
      return product;
    }
    /// Offset of the index-th combination, the last axis running fastest.
    int64_t offset(int64_t index) const {
      int64_t at = 0;
      for (int i = rank - 1; i >= 0; --i) {
        at += index % extent[static_cast<size_t>(i)] * stride[static_cast<size_t>(i)];
        index /= extent[static_cast<size_t>(i)];
      }
      return at;
    }
    /// Takes the last axis away (extent 1 if there is none).
    int64_t pop() { return rank == 0 ? 1 : extent[static_cast<size_t>(--rank)]; }
  };
  Axes kept;
  Axes reduced;
  bool innermost_is_reduced = false;
};

Partition partition(const Shape& shape, AxisSet axes) {
  Partition result;
  int64_t stride = shape.elements();
  int previous = -1;  // 1: reduced, 0: kept
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != 0) stride /= shape[axis];
    if (shape[axis] == 1) continue;
    const int kind = axes.contains(axis) ? 1 : 0;
    Partition::Axes& list = kind == 1 ? result.reduced : result.kept;
    const auto last = static_cast<size_t>(kind == previous ? list.rank - 1 : list.rank++);
    list.extent[last] = kind == previous ? list.extent[last] * shape[axis] : shape[axis];
    list.stride[last] = stride;
    previous = kind;
  }
  result.innermost_is_reduced = previous == 1;
  return result;
}

template <typename C>
using Accumulator = std::conditional_t<std::is_same_v<C, float>, double, C>;

// Sums side by side, so that a row vectorizes and adds up in the same order on every machine.
constexpr int64_t kLanes = 16;

/// The innermost axis is reduced: each result is made from contiguous rows.
template <typename Op, typename C>
void reduce_rows(const Tensor& in, Tensor& out, Partition parts, ThreadPool& pool) {
  using A = Accumulator<C>;
  const int64_t total = parts.reduced.elements();
  const int64_t length = parts.reduced.pop();
  const int64_t rows = length == 0 ? 0 : total / length;
  const int64_t grain = std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, total));
  const A neutral = Op::template neutral<A>(in.dtype());
  pool.parallel_ranges(out.elements(), grain, [&](int64_t begin, int64_t end) {
    alignas(64) std::array<C, kChunk> buffer;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t base = parts.kept.offset(i);
      alignas(64) std::array<A, kLanes> lanes;
      lanes.fill(neutral);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t start = base + parts.reduced.offset(row);
        for (int64_t at = 0; at < length; at += kChunk) {
          const int64_t count = std::min(kChunk, length - at);
          const C* x = load(in, start + at, count, buffer.data());
          int64_t k = 0;
          for (; k + kLanes <= count; k += kLanes) {
            for (int64_t lane = 0; lane < kLanes; ++lane) {
              lanes[lane] = Op::combine(lanes[lane], Op::value(static_cast<A>(x[k + lane])));
            }
          }
          for (; k < count; ++k) {
            lanes[k % kLanes] = Op::combine(lanes[k % kLanes], Op::value(static_cast<A>(x[k])));
          }
        }
      }
      A sum = lanes[0];
      for (size_t lane = 1; lane < kLanes; ++lane) sum = Op::combine(sum, lanes[lane]);
      C result = static_cast<C>(Op::finish(sum, total));
      C* to = place(out, i, &result);
      *to = result;
      store(out, i, 1, to);
    }
  });
}

/// The innermost axis is kept: many results grow side by side.
template <typename Op, typename C>
void reduce_columns(const Tensor& in, Tensor& out, Partition parts, ThreadPool& pool) {
  using A = Accumulator<C>;
  constexpr int64_t kColumns = 256;
  const int64_t total = parts.reduced.elements();
  const int64_t width = parts.kept.pop();
  const int64_t blocks = (width + kColumns - 1) / kColumns;
  const int64_t outer = width == 0 ? 0 : out.elements() / width;
  const A neutral = Op::template neutral<A>(in.dtype());
  pool.parallel_ranges(outer * blocks, 1, [&](int64_t begin, int64_t end) {
    alignas(64) std::array<C, kColumns> buffer;
    alignas(64) std::array<A, kColumns> sums;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block % blocks * kColumns;
      const int64_t columns = std::min(kColumns, width - first);
      const int64_t base = parts.kept.offset(block / blocks) + first;
      sums.fill(neutral);
      for (int64_t i = 0; i < total; ++i) {
        const C* x = load(in, base + parts.reduced.offset(i), columns, buffer.data());
        for (int64_t c = 0; c < columns; ++c) {
          sums[c] = Op::combine(sums[c], Op::value(static_cast<A>(x[c])));
        }
      }
      const int64_t at = block / blocks * width + first;
      C* to = place(out, at, buffer.data());
      for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<C>(Op::finish(sums[c], total));
      store(out, at, columns, to);
    }
  });
}

Shape reduced_shape(const Shape& shape, AxisSet axes, bool keep) {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!axes.contains(axis)) result.push_back(shape[axis]);
    if (axes.contains(axis) && keep) result.push_back(1);
  }
  return result;
}

bool is_noop(const Node& node, bool no_axes) {
  return no_axes && node.attributes.integer("noop_with_empty_axes", 0) != 0;
}

/// Reduces `in` into `out`, whose shape is that of the kept axes (with or without ones).
template <unsigned kTypes, typename Op>
void reduce(const Tensor& in, Tensor& out, AxisSet axes, ThreadPool& pool) {
  const Partition parts = partition(in.shape(), axes);
  with_compute_type<kTypes>(in.dtype(), [&](auto zero) {
    using C = decltype(zero);
    if (parts.innermost_is_reduced) {
      reduce_rows<Op, C>(in, out, parts, pool);
    } else {
      reduce_columns<Op, C>(in, out, parts, pool);
    }
  });
}

struct Reduction {
  AxisSet axes;
  Shape shape;
  bool noop = false;
};

Reduction reduction_of(const EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  const auto axes = integers_of(context, 1, "axes");
  const bool none = !axes || axes->empty();
  if (is_noop(context.node, none)) return {.axes = {}, .shape = shape, .noop = true};
  const AxisSet set = none ? AxisSet::all(shape.rank()) : normalize_axes(*axes, shape.rank());
  const bool keep = context.node.attributes.integer("keepdims", 1) != 0;
  return {.axes = set, .shape = reduced_shape(shape, set, keep)};
}

template <unsigned kTypes, typename Op>
void eval_reduce(EvalContext& context) {
  const Tensor& in = context.input(0);
  const Reduction reduction = reduction_of(context);
  if (reduction.noop) return context.set_output(0, in);
  const bool through_double = kTypes == kFloats && is_integer(in.dtype());
  if (through_double || in.dtype() == DType::boolean) {
    const DType wide = through_double ? DType::f64 : DType::u8;
    Tensor result(wide, reduction.shape);
    reduce<kTypes, Op>(convert(in, wide), result, reduction.axes, context.pool);
    return context.set_output(0, convert(result, in.dtype()));
  }
  Tensor& out = context.output(0, in.dtype(), reduction.shape);
  reduce<kTypes, Op>(in, out, reduction.axes, context.pool);
}

// log(sum(exp(x))) = top + log(sum(exp(x - top))), which does not overflow. Where all of x is -inf
// (or there is nothing), top counts as 0.
void eval_log_sum_exp(EvalContext& context) {
  const Reduction reduction = reduction_of(context);
  if (reduction.noop) return context.set_output(0, context.input(0));
  const Tensor in = convert(context.input(0), DType::f64).clone();
  const Shape kept = reduced_shape(in.shape(), reduction.axes, true);
  Tensor top(DType::f64, kept);
  reduce<kFloats, Max>(in, top, reduction.axes, context.pool);
  for (double& value : top.data<double>()) value = std::isinf(value) && value < 0 ? 0 : value;
  Tensor powers = in;
  zip<kFloats>(
      context.pool, in, top, powers, [](auto x, auto t) { return std::exp(x - t); }, kCostlyGrain);
  Tensor sum(DType::f64, kept);
  reduce<kFloats, LogSum>(powers, sum, reduction.axes, context.pool);
  zip<kFloats>(context.pool, sum, top, sum, [](auto s, auto t) { return s + t; });
  context.set_output(0, convert(sum.reshaped(reduction.shape), context.input(0).dtype()));
}

std::vector<TensorType> infer_reduce(const NodeTypes& types) {
  const Shape& shape = types.shape(0);
  const DType dtype = types.input(0).dtype;
  const KnownIntegers axes = integers_of(types, 1, "axes");
  const bool keep = types.node.attributes.integer("keepdims", 1) != 0;
  if (!shape.has_rank()) return one_output(dtype, Shape::unknown_rank());
  if (axes.given && !axes.known) {
    Shape unknown;
    for (int axis = 0; keep && axis < shape.rank(); ++axis) unknown.push_back(Shape::kUnknown);
    return one_output(dtype, keep ? unknown : Shape::unknown_rank());
  }
  if (is_noop(types.node, axes.values.empty())) return one_output(dtype, shape);
  const AxisSet set =
      axes.values.empty() ? AxisSet::all(shape.rank()) : normalize_axes(axes.values, shape.rank());
  return one_output(dtype, reduced_shape(shape, set, keep));
}

constexpr OpRow row(std::string_view name, EvalSignature* eval, double tolerance = 1e-5) {
  return {.name = name,
          .max_inputs = 2,
          .infer = infer_reduce,
          .eval = eval,
          .kernels = "eval already streams through memory once",
          .why_float = "a wide sum that the runtime keeps in float",
          .gradient = Gradient::autograd,
          .tolerance = tolerance};
}

constexpr std::array kRows = {
    row("ReduceSum", eval_reduce<kNumbers, SumBase>),
    row("ReduceMean", eval_reduce<kNumbers, Mean>),
    row("ReduceProd", eval_reduce<kNumbers, Prod>),
    row("ReduceMax", eval_reduce<kNumbers, Max>, 0),
    row("ReduceMin", eval_reduce<kNumbers, Min>, 0),
    row("ReduceL1", eval_reduce<kNumbers, L1>),
    row("ReduceL2", eval_reduce<kFloats, L2>),
    row("ReduceSumSquare", eval_reduce<kNumbers, SumSquare>),
    row("ReduceLogSum", eval_reduce<kFloats, LogSum>),
    row("ReduceLogSumExp", eval_log_sum_exp),
};

}  // namespace

std::span<const OpRow> reduce_ops() { return kRows; }

}  // namespace nibble
