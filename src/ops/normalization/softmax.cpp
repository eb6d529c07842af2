// Softmax, LogSoftmax and Hardmax. Since opset 13 along one axis (the last by default); before, the
// tensor was read as a matrix whose rows begin at `axis` (1 by default). Sums are taken in double.
#include <array>
#include <cmath>

#include "kernels/vector_math.h"
#include "ops/families.h"
#include "ops/normalization/row_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"
#include "ops/support/row_stats.h"

namespace nibble {
namespace {

enum class Kind : uint8_t { softmax, log_softmax, hardmax };

/// The tensor as [outer, count, inner], to be normalized along `count`.
struct Extents {
  int64_t outer = 1;
  int64_t count = 1;
  int64_t inner = 1;
};

// Before opset 13 an axis may be the tensor's end, but not as a negative number: -1 is the last
// axis.
int axis_of(int64_t axis, bool one_axis, int rank) {
  return normalize_axis(axis, one_axis || axis < 0 ? rank : rank + 1);
}

Extents extents_of(const EvalContext& context) {
  const Shape& shape = context.input(0).shape();
  const bool one_axis = context.opset >= 13;
  const int64_t axis_or_end = context.node.attributes.integer("axis", one_axis ? -1 : 1);
  if (shape.rank() == 0) return {};
  const int axis = axis_of(axis_or_end, one_axis, shape.rank());
  if (!one_axis) {
    return {
        .outer = shape.elements(0, axis), .count = shape.elements(axis, shape.rank()), .inner = 1};
  }
  return {.outer = shape.elements(0, axis),
          .count = shape[axis],
          .inner = shape.elements(axis + 1, shape.rank())};
}

template <typename T>
T exp_of(T x) {
  if constexpr (std::is_same_v<T, float>) {
    return exp_f32(x);
  } else {
    return std::exp(x);
  }
}

// Up to this many columns are normalized side by side, each with its own maximum and sum.
constexpr int64_t kColumns = 64;

/// Normalizes `columns` adjacent columns of `count` rows that are `stride` elements apart.
template <Kind kind, typename T>
void normalize_columns(const T* in, T* out, int64_t count, int64_t stride, int64_t columns) {
  std::array<T, kColumns> top;
  std::array<double, kColumns> sum{};
  for (int64_t c = 0; c < columns; ++c) top[c] = in[c];
  for (int64_t i = 1; i < count; ++i) {
    const T* row = in + i * stride;
    for (int64_t c = 0; c < columns; ++c) top[c] = row[c] > top[c] ? row[c] : top[c];
  }
  if constexpr (kind == Kind::hardmax) {
    std::array<bool, kColumns> found{};
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        const bool first = !found[c] && in[i * stride + c] == top[c];
        out[i * stride + c] = first ? T{1} : T{0};
        found[c] = found[c] || first;
      }
    }
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const T* row = in + i * stride;
    T* result = out + i * stride;
    for (int64_t c = 0; c < columns; ++c) {
      const T power = exp_of(row[c] - top[c]);
      result[c] = kind == Kind::softmax ? power : row[c] - top[c];
      sum[c] += static_cast<double>(power);
    }
  }
  std::array<T, kColumns> by;
  for (int64_t c = 0; c < columns; ++c) {
    by[c] = static_cast<T>(kind == Kind::softmax ? 1 / sum[c] : std::log(sum[c]));
  }
  for (int64_t i = 0; i < count; ++i) {
    T* row = out + i * stride;
    for (int64_t c = 0; c < columns; ++c) {
      row[c] = kind == Kind::softmax ? row[c] * by[c] : row[c] - by[c];
    }
  }
}

/// One contiguous row.
template <Kind kind, typename T>
void normalize_row(const T* in, T* out, int64_t count) {
  T top = in[0];
  for (int64_t i = 1; i < count; ++i) top = in[i] > top ? in[i] : top;
  for (int64_t i = 0; i < count; ++i) out[i] = exp_of(in[i] - top);
  const double sum = row_sum(out, count, [](double power) { return power; });
  if constexpr (kind == Kind::softmax) {
    const T scale = static_cast<T>(1 / sum);
    for (int64_t k = 0; k < count; ++k) out[k] *= scale;
  } else {
    const T shift = top + static_cast<T>(std::log(sum));
    for (int64_t k = 0; k < count; ++k) out[k] = in[k] - shift;
  }
}

template <Kind kind, typename T>
void normalize(EvalContext& context) {
  const Tensor& input = context.input(0);
  const Extents extents = extents_of(context);
  Tensor& output = context.output(0, input.dtype(), input.shape());
  if (input.elements() == 0) return;
  const T* in = input.data<T>().data();
  T* out = output.data<T>().data();
  const int64_t count = extents.count;
  if (extents.inner == 1 && kind != Kind::hardmax) {
    const int64_t grain = std::max<int64_t>(1, kCostlyGrain / count);
    context.pool.parallel_ranges(extents.outer, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        normalize_row<kind>(in + row * count, out + row * count, count);
      }
    });
    return;
  }
  const int64_t blocks = (extents.inner + kColumns - 1) / kColumns;
  context.pool.parallel_ranges(extents.outer * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block % blocks * kColumns;
      const int64_t at = block / blocks * count * extents.inner + first;
      normalize_columns<kind>(in + at, out + at, count, extents.inner,
                              std::min(kColumns, extents.inner - first));
    }
  });
}

template <Kind kind>
void eval_softmax(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (is_half(dtype)) return eval_as_f32(context, eval_softmax<kind>);
  if (dtype == DType::f64) return normalize<kind, double>(context);
  if (dtype == DType::f32) return normalize<kind, float>(context);
  fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
}

std::vector<TensorType> infer_softmax(const NodeTypes& types) {
  const Shape& shape = types.shape(0);
  if (shape.has_rank() && shape.rank() > 0) {
    const bool one_axis = types.opset >= 13;
    axis_of(types.node.attributes.integer("axis", one_axis ? -1 : 1), one_axis, shape.rank());
  }
  return infer_same(types);
}

constexpr OpRow row(std::string_view name, EvalSignature* eval, Gradient gradient) {
  return {.name = name,
          .infer = infer_softmax,
          .eval = eval,
          .kernels = "eval already runs row by row in place",
          .why_float = "a sum of exponentials: 8-bit codes lose the small ones; stays in float",
          .gradient = gradient};
}

constexpr OpRow softmax_row() {
  OpRow result = row("Softmax", eval_softmax<Kind::softmax>, Gradient::autograd);
  result.kernels = kSoftmaxKernels;
  return result;
}

constexpr std::array kRows = {
    softmax_row(),
    row("LogSoftmax", eval_softmax<Kind::log_softmax>, Gradient::autograd),
    row("Hardmax", eval_softmax<Kind::hardmax>, Gradient::none),
};

}  // namespace

std::span<const OpRow> softmax_ops() { return kRows; }

}  // namespace nibble
