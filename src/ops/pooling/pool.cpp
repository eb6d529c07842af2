// Poolings over windows: MaxPool, AveragePool, LpPool; and over all positions: Global*Pool.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/families.h"
#include "ops/pooling/max_pool.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"

namespace nibble {
namespace {

// Channels summed at a time, on the stack: in double, as a window may be as large as the input.
constexpr int64_t kBlock = 64;

// Sums value(x) over the taps of each output and calls finish(sum, taps) for the result.
template <typename T, typename Value, typename Finish>
void sum_windows(const PoolProblem& problem, EvalContext& context, const Value& value,
                 const Finish& finish) {
  const T* in = context.input(0).data<T>().data();
  T* out = context.output(0, dtype_of<T>(), problem.output).template data<T>().data();
  const int64_t lane = problem.lane;
  each_output(problem, context.pool, [&](int64_t plane, int64_t position) {
    const Taps taps(problem.window, position);
    const T* from = in + plane * problem.in_positions * lane;
    T* to = out + (plane * problem.out_positions + position) * lane;
    for (int64_t at = 0; at < lane; at += kBlock) {
      const int64_t channels = std::min(kBlock, lane - at);
      alignas(64) std::array<double, kBlock> sums;
      std::fill_n(sums.begin(), channels, 0.0);
      taps.each(problem.window, [&](int64_t pixel) {
        const T* row = from + pixel * lane + at;
        for (int64_t c = 0; c < channels; ++c) sums[static_cast<size_t>(c)] += value(row[c]);
      });
      for (int64_t c = 0; c < channels; ++c) {
        to[at + c] = static_cast<T>(finish(sums[static_cast<size_t>(c)], taps));
      }
    }
  });
}

template <typename T>
struct AveragePool {
  static constexpr std::string_view kName = "average pool";
  PoolProblem problem;

  void operator()(EvalContext& context) const {
    const auto mean = [&](double sum, const Taps& taps) {
      const int64_t count = problem.count_include_pad ? taps.inside_padded(problem.window)
                                                      : taps.inside(problem.window);
      return sum / static_cast<double>(std::max<int64_t>(1, count));
    };
    sum_windows<T>(
        problem, context, [](T x) { return static_cast<double>(x); }, mean);
  }
};

struct LpPool {
  PoolProblem problem;

  void operator()(EvalContext& context) const {
    const double p = static_cast<double>(problem.p);
    const auto root = [&](double sum, const Taps&) { return std::pow(sum, 1 / p); };
    const auto power = [&](float x) {
      const double wide = static_cast<double>(x);
      return p == 2 ? wide * wide : std::pow(std::abs(wide), p);
    };
    sum_windows<float>(problem, context, power, root);
  }
};

float power_of(const EvalContext& context) {
  const Attribute* p = context.node.attributes.find("p");
  // An integer since opset 2, a float before.
  if (p != nullptr && std::holds_alternative<float>(*p)) return std::get<float>(*p);
  return static_cast<float>(context.node.attributes.integer("p", 2));
}

std::vector<TensorType> infer_pool(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) {
    const bool channels_last = types.node.channels_last;
    const SpatialShape x(types.shape(0), channels_last);
    if (!types.node.attributes.has("kernel_shape")) {
      fail(ErrorCode::invalid_model, "attribute kernel_shape is missing");
    }
    const Window window = make_window(types.node.attributes, x.spatial(), {},
                                      types.node.attributes.integer("ceil_mode", 0) != 0);
    type.shape =
        spatial_shape(x.batch, x.channels,
                      std::span(window.output.data(), static_cast<size_t>(x.rank)), channels_last);
  }
  std::vector<TensorType> outputs = {type};
  if (types.node.outputs.size() > 1) outputs.push_back({.dtype = DType::i64, .shape = type.shape});
  return outputs;
}

std::vector<TensorType> infer_global(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) {
    const bool channels_last = types.node.channels_last;
    const SpatialShape x(types.shape(0), channels_last);
    const std::vector<int64_t> ones(static_cast<size_t>(x.rank), 1);
    type.shape = spatial_shape(x.batch, x.channels, ones, channels_last);
  }
  return {type};
}

void eval_max_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_max_pool);
  MaxPool{pool_problem(context.node, context.input(0).shape())}(context);
}

template <typename T>
void average(const PoolProblem& problem, EvalContext& context) {
  AveragePool<T>{problem}(context);
}

void eval_average_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_average_pool);
  const PoolProblem problem = pool_problem(context.node, context.input(0).shape());
  if (context.input(0).dtype() == DType::f64) return average<double>(problem, context);
  average<float>(problem, context);
}

void eval_lp_pool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_lp_pool);
  LpPool pool{pool_problem(context.node, context.input(0).shape())};
  pool.problem.p = power_of(context);
  pool(context);
}

void eval_global_max(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_max);
  MaxPool{global_problem(context.node, context.input(0).shape())}(context);
}

void eval_global_average(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_average);
  const PoolProblem problem = global_problem(context.node, context.input(0).shape());
  if (context.input(0).dtype() == DType::f64) return average<double>(problem, context);
  average<float>(problem, context);
}

void eval_global_lp(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_global_lp);
  LpPool pool{global_problem(context.node, context.input(0).shape())};
  pool.problem.p = power_of(context);
  pool(context);
}

template <typename Op, PoolProblem problem_of(const Node&, const Shape&)>
std::unique_ptr<Kernel> prepare(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.input(0).dtype != DType::f32 || !types.shape(0).is_static()) return nullptr;
  return make_prepared(Op{problem_of(types.node, types.shape(0))});
}

constexpr std::array kMaxPoolKernels = {
    KernelRow{.name = "max pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::moved,
              .make = integer_max_pool},
    on_reals("max pool on f32", prepare<MaxPool, pool_problem>),
};
constexpr std::array kAveragePoolKernels = {
    KernelRow{.name = "average pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::u8,
              .make = integer_average_pool},
    on_reals("average pool on f32", prepare<AveragePool<float>, pool_problem>),
};
constexpr std::array kGlobalMaxKernels = {
    on_reals("max pool on f32", prepare<MaxPool, global_problem>),
};
constexpr std::array kGlobalAverageKernels = {
    KernelRow{.name = "global average pool on u8 codes",
              .reads = {Reads::u8},
              .gives = Gives::u8,
              .make = integer_global_average_pool},
    on_reals("average pool on f32", prepare<AveragePool<float>, global_problem>),
};

constexpr std::array kRows = {
    OpRow{.name = "MaxPool",
          .max_outputs = 2,
          .infer = infer_pool,
          .eval = eval_max_pool,
          .kernels = kMaxPoolKernels,
          .quant = QuantRole::same_codes,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 0},
    OpRow{.name = "AveragePool",
          .infer = infer_pool,
          .eval = eval_average_pool,
          .kernels = kAveragePoolKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial},
    OpRow{.name = "LpPool",
          .infer = infer_pool,
          .eval = eval_lp_pool,
          .kernels = "rare: evaluated as it is",
          .why_float = "a root of a sum of powers has no integer form",
          .layout = LayoutRole::spatial},
    OpRow{.name = "GlobalMaxPool",
          .infer = infer_global,
          .eval = eval_global_max,
          .kernels = kGlobalMaxKernels,
          .why_float = "rare: evaluated in float between quantized layers",
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 0},
    OpRow{.name = "GlobalAveragePool",
          .infer = infer_global,
          .eval = eval_global_average,
          .kernels = kGlobalAverageKernels,
          .quant = QuantRole::arithmetic,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial},
    OpRow{.name = "GlobalLpPool",
          .infer = infer_global,
          .eval = eval_global_lp,
          .kernels = "rare: evaluated as it is",
          .why_float = "a root of a sum of powers has no integer form",
          .layout = LayoutRole::spatial},
};

}  // namespace

std::span<const OpRow> pool_ops() { return kRows; }

}  // namespace nibble
