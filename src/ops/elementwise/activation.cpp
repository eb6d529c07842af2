// Activation functions: one element in, one out, with parameters. Each is a function of one code
// when its operand has 8 bits, hence a table of 256 entries.
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "kernels/vector_math.h"
#include "ops/elementwise/real_function.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

constexpr auto relu = [](auto x) {
  using T = decltype(x);
  return x < T{0} ? T{0} : x;  // NaN stays NaN
};
constexpr auto sigmoid = [](auto x) {
  if constexpr (std::is_same_v<decltype(x), float>) {
    return sigmoid_f32(x);
  } else {
    return 1 / (1 + std::exp(-x));
  }
};
constexpr auto exp_fast = [](auto x) {
  if constexpr (std::is_same_v<decltype(x), float>) {
    return exp_f32(x);
  } else {
    return std::exp(x);
  }
};
// x * min(max(x / 6 + 0.5, 0), 1)
constexpr auto hard_swish = [](auto x) {
  using T = decltype(x);
  T gate = x * static_cast<T>(1.0 / 6.0) + static_cast<T>(0.5);
  gate = gate < T{0} ? T{0} : gate;
  gate = gate > T{1} ? T{1} : gate;
  return x * gate;
};
// log(1 + e^x) without overflow.
constexpr auto softplus = [](auto x) {
  using T = decltype(x);
  return (x > T{0} ? x : T{0}) + std::log1p(std::exp(-std::fabs(x)));
};
constexpr auto softsign = [](auto x) { return x / (1 + std::fabs(x)); };
constexpr auto mish = [](auto x) { return x * std::tanh(softplus(x)); };
constexpr auto gelu_erf = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_same_v<T, float>) {
    return gelu_f32(x);
  } else {
    return 0.5 * x * (1 + std::erf(x * (std::numbers::sqrt2 / 2)));
  }
};
constexpr auto gelu_tanh = [](auto x) {
  if constexpr (std::is_same_v<decltype(x), float>) {
    return gelu_tanh_f32(x);
  } else {
    const auto inner = std::numbers::sqrt2 * std::numbers::inv_sqrtpi * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1 + std::tanh(inner));
  }
};

// A parameter in the arithmetic type of the element.
template <typename T>
T as(T, float parameter) {
  return static_cast<T>(parameter);
}

void eval_leaky_relu(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 0.01F);
  map<kFloats>(context, [=](auto x) { return x < 0 ? x * as(x, alpha) : x; });
}

void eval_elu(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 1);
  map<kFloats>(
      context, [=](auto x) { return x < 0 ? as(x, alpha) * std::expm1(x) : x; }, kCostlyGrain);
}

void eval_selu(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 1.67326319217681884765625F);
  const float gamma = context.node.attributes.real("gamma", 1.05070102214813232421875F);
  map<kFloats>(
      context, [=](auto x) { return as(x, gamma) * (x > 0 ? x : as(x, alpha) * std::expm1(x)); },
      kCostlyGrain);
}

void eval_celu(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 1);
  map<kFloats>(
      context, [=](auto x) { return x < 0 ? as(x, alpha) * std::expm1(x / as(x, alpha)) : x; },
      kCostlyGrain);
}

void eval_hard_sigmoid(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 0.2F);
  const float beta = context.node.attributes.real("beta", 0.5F);
  map<kFloats>(context, [=](auto x) {
    using T = decltype(x);
    const T y = as(x, alpha) * x + as(x, beta);
    const T low = y < T{0} ? T{0} : y;
    return low > T{1} ? T{1} : low;
  });
}

void eval_thresholded_relu(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 1);
  map<kFloats>(context, [=](auto x) { return x > as(x, alpha) ? x : decltype(x){0}; });
}

void eval_shrink(EvalContext& context) {
  const float bias = context.node.attributes.real("bias", 0);
  const float lambda = context.node.attributes.real("lambd", 0.5F);
  map<kFloats | kSigned>(context, [=](auto x) {
    using T = decltype(x);
    if (static_cast<double>(x) < -lambda) return static_cast<T>(x + as(x, bias));
    if (static_cast<double>(x) > lambda) return static_cast<T>(x - as(x, bias));
    return T{0};
  });
}

void eval_swish(EvalContext& context) {
  const float alpha = context.node.attributes.real("alpha", 1);
  map<kFloats>(
      context, [=](auto x) { return x / (1 + exp_fast(-as(x, alpha) * x)); }, kCostlyGrain);
}

void eval_gelu(EvalContext& context) {
  const std::string approximate = context.node.attributes.text("approximate", "none");
  if (approximate == "none") return map<kFloats>(context, gelu_erf, kCostlyGrain);
  if (approximate == "tanh") return map<kFloats>(context, gelu_tanh, kCostlyGrain);
  fail(ErrorCode::invalid_model, "attribute 'approximate' is \"{}\", expected none or tanh",
       approximate);
}

// Bounds of Clip: attributes before opset 11, optional scalar inputs since.
template <typename C>
C clip_bound(const EvalContext& context, size_t input, std::string_view name, C fallback) {
  if (context.opset < 11 || context.node.attributes.has(name)) {
    return static_cast<C>(context.node.attributes.real(name, static_cast<float>(fallback)));
  }
  if (!context.has(input)) return fallback;
  if (context.input(input).elements() != 1) {
    fail(ErrorCode::invalid_model, "bound '{}' has shape {}, expected a scalar", name,
         context.input(input).shape().to_string());
  }
  if (context.input(input).dtype() != context.input(0).dtype()) {
    fail(ErrorCode::invalid_model, "bound '{}' is {}, but the data is {}", name,
         name_of(context.input(input).dtype()), name_of(context.input(0).dtype()));
  }
  C value{};
  return *load(context.input(input), 0, 1, &value);
}

void eval_clip(EvalContext& context) {
  with_compute_type<kNumbers>(context.input(0).dtype(), [&](auto zero) {
    using C = decltype(zero);
    using Limits = std::numeric_limits<C>;
    constexpr bool kReal = std::is_floating_point_v<C>;
    const C low = clip_bound<C>(context, 1, "min", kReal ? -Limits::infinity() : Limits::min());
    const C high = clip_bound<C>(context, 2, "max", kReal ? Limits::infinity() : Limits::max());
    constexpr unsigned kTypes = kReal ? kFloats : (std::is_signed_v<C> ? kSigned : kUnsigned);
    map<kTypes>(context, [=](auto x) {
      using T = decltype(x);
      const T above = x < static_cast<T>(low) ? static_cast<T>(low) : x;
      return above > static_cast<T>(high) ? static_cast<T>(high) : above;
    });
  });
}

std::optional<Clamp> relu_bounds(const Graph&, const Node&) { return Clamp{.low = 0}; }

// A bound of Clip: a scalar f32 constant, or `fallback` where it is left out.
std::optional<float> constant_bound(const Graph& graph, ValueId id, float fallback) {
  if (!id) return fallback;
  const Value& value = graph.value(id);
  if (!value.is_constant() || value.type.quant || value.data.dtype() != DType::f32 ||
      value.data.elements() != 1) {
    return std::nullopt;
  }
  return value.data.data<float>()[0];
}

std::optional<Clamp> clip_bounds(const Graph& graph, const Node& node) {
  const Clamp open;
  if (graph.opset() < 11) {
    return Clamp{node.attributes.real("min", open.low), node.attributes.real("max", open.high)};
  }
  const auto low = constant_bound(graph, node.input(1), open.low);
  const auto high = constant_bound(graph, node.input(2), open.high);
  if (!low || !high) return std::nullopt;
  return Clamp{*low, *high};
}

constexpr OpRow activation(std::string_view name, EvalSignature* eval) {
  return {.name = name,
          .infer = infer_same,
          .eval = eval,
          .kernels = kTableOfCodes,
          .quant = QuantRole::table,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::elementwise};
}

/// With a kernel in vectors besides.
constexpr OpRow in_vectors(std::string_view name, EvalSignature* eval) {
  OpRow row = activation(name, eval);
  row.kernels = kRealFunctionKernels;
  return row;
}

constexpr OpRow clip_row() {
  OpRow row = activation("Clip", eval_clip);
  row.max_inputs = 3;
  row.tolerance = 0;
  row.clamp = clip_bounds;
  return row;
}

constexpr OpRow relu_row() {
  OpRow row = activation("Relu", eval_map<kNumbers, relu>);
  row.clamp = relu_bounds;
  return row;
}

constexpr std::array kRows = {
    relu_row(),
    activation("LeakyRelu", eval_leaky_relu),
    activation("Elu", eval_elu),
    activation("Selu", eval_selu),
    activation("Celu", eval_celu),
    in_vectors("Sigmoid", eval_costly_map<kFloats, sigmoid>),
    activation("HardSigmoid", eval_hard_sigmoid),
    activation("HardSwish", eval_map<kFloats, hard_swish>),
    activation("Softplus", eval_costly_map<kFloats, softplus>),
    activation("Softsign", eval_map<kFloats, softsign>),
    in_vectors("Gelu", eval_gelu),
    activation("Mish", eval_costly_map<kFloats, mish>),
    activation("Swish", eval_swish),
    activation("ThresholdedRelu", eval_thresholded_relu),
    activation("Shrink", eval_shrink),
    clip_row(),
};

}  // namespace

std::span<const OpRow> activation_ops() { return kRows; }

}  // namespace nibble
