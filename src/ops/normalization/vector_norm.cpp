// Normalizations without parameters to learn: LpNormalization, MeanVarianceNormalization and LRN.
#include <array>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

// All of these are rare and small: computed in double, whatever the type.
Tensor as_double(const Tensor& tensor) { return convert(tensor, DType::f64).clone(); }

// A vector of zeros gives NaN, as in ONNX's reference.
void eval_lp_norm(EvalContext& context) {
  Tensor values = as_double(context.input(0));
  const Shape& shape = values.shape();
  const int axis = normalize_axis(context.node.attributes.integer("axis", -1), shape.rank());
  const int64_t p = context.node.attributes.integer("p", 2);
  if (p != 1 && p != 2) fail(ErrorCode::invalid_model, "attribute 'p' is {}, expected 1 or 2", p);
  const int64_t inner = shape.elements(axis + 1, shape.rank());
  const int64_t count = shape[axis];
  double* x = values.data<double>().data();
  context.pool.parallel_ranges(
      shape.elements(0, axis) * inner, kCostlyGrain, [&](int64_t begin, int64_t end) {
        for (int64_t slice = begin; slice < end; ++slice) {
          double* first = x + slice / inner * count * inner + slice % inner;
          double sum = 0;
          for (int64_t i = 0; i < count; ++i) {
            const double v = first[i * inner];
            sum += p == 1 ? std::fabs(v) : v * v;
          }
          const double norm = p == 1 ? sum : std::sqrt(sum);
          for (int64_t i = 0; i < count; ++i) first[i * inner] /= norm;
        }
      });
  context.set_output(0, convert(values, context.input(0).dtype()));
}

// (x - mean) / sqrt(variance) over the axes, by default all but the channels; epsilon as in ONNX's
// reference.
void eval_mean_variance(EvalContext& context) {
  constexpr double kEpsilon = 1e-9;
  Tensor values = as_double(context.input(0));
  const Shape& shape = values.shape();
  const std::vector<int64_t> list = context.node.attributes.integers("axes", {0, 2, 3});
  const AxisSet axes = normalize_axes(list, shape.rank());
  Shape kept = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axes.contains(axis)) kept[axis] = 1;
  }
  const auto groups = static_cast<size_t>(kept.elements());
  std::vector<double> sum(groups);
  std::vector<double> squares(groups);
  double* x = values.data<double>().data();
  const auto loop = broadcast_loop<1>(shape, {&kept});
  const auto each = [&](const auto& body) {
    loop.walk(0, loop.elements, [&](int64_t first, int64_t count, const auto& at) {
      for (int64_t i = 0; i < count; ++i) {
        body(x[first + i], static_cast<size_t>(at[0] + i * loop.step(0)));
      }
    });
  };
  const double count = static_cast<double>(shape.elements()) / static_cast<double>(groups);
  each([&](double v, size_t group) { sum[group] += v; });
  for (double& total : sum) total /= count;
  each([&](double v, size_t group) { squares[group] += (v - sum[group]) * (v - sum[group]); });
  each([&](double& v, size_t group) {
    v = (v - sum[group]) / (std::sqrt(squares[group] / count) + kEpsilon);
  });
  context.set_output(0, convert(values, context.input(0).dtype()));
}

// y = x / (bias + alpha / size * sum of squares over `size` channels around it) ^ beta.
void eval_lrn(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_lrn);
  const Tensor in = as_double(context.input(0));
  const Shape& shape = in.shape();
  const auto& attributes = context.node.attributes;
  const int64_t size = attributes.required_integer("size");
  if (size < 1) fail(ErrorCode::invalid_model, "attribute 'size' is {}, expected at least 1", size);
  const double alpha = static_cast<double>(attributes.real("alpha", 1e-4F));
  const double beta = static_cast<double>(attributes.real("beta", 0.75F));
  const double bias = static_cast<double>(attributes.real("bias", 1));
  const int64_t channels = shape[1];
  const int64_t inner = shape.elements(2, shape.rank());
  Tensor values(DType::f64, shape);
  const double* x = in.data<double>().data();
  double* y = values.data<double>().data();
  context.pool.parallel_ranges(shape[0] * channels, 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t channel = plane % channels;
      const int64_t from = std::max<int64_t>(0, channel - (size - 1) / 2);
      const int64_t to = std::min(channels - 1, channel + size / 2);
      const double* image = x + (plane - channel) * inner;
      for (int64_t i = 0; i < inner; ++i) {
        double squares = 0;
        for (int64_t c = from; c <= to; ++c) squares += image[c * inner + i] * image[c * inner + i];
        y[plane * inner + i] = image[channel * inner + i] /
                               std::pow(bias + alpha / static_cast<double>(size) * squares, beta);
      }
    }
  });
  context.set_output(0, convert(values, context.input(0).dtype()));
}

std::vector<TensorType> infer_lrn(const NodeTypes& types) {
  require_rank(types, 0, 2);
  return infer_same(types);
}

constexpr OpRow row(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .infer = infer,
          .eval = eval,
          .kernels = "rare and small",
          .why_float = "divides by a norm computed at run time: stays in float",
          .gradient = Gradient::autograd};
}

constexpr std::array kRows = {
    row("LpNormalization", infer_same, eval_lp_norm),
    row("MeanVarianceNormalization", infer_same, eval_mean_variance),
    row("LRN", infer_lrn, eval_lrn),
};

}  // namespace

std::span<const OpRow> vector_norm_ops() { return kRows; }

}  // namespace nibble
