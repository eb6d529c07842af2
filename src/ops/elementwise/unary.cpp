// Functions of one element that have no parameters: Abs ... Tanh, and the tests IsNaN and IsInf.
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>

#include "kernels/vector_math.h"
#include "ops/elementwise/real_function.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

// Signed integers wrap (the negative of the lowest value is itself), as unsigned arithmetic does.
constexpr auto negate = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_same_v<T, int64_t>) {
    return static_cast<int64_t>(uint64_t{0} - static_cast<uint64_t>(x));
  } else {
    return static_cast<T>(-x);
  }
};
constexpr auto absolute = [](auto x) {
  using T = decltype(x);
  if constexpr (std::is_same_v<T, uint64_t>) {
    return x;
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return x < 0 ? negate(x) : x;
  } else {
    return std::fabs(x);
  }
};
constexpr auto sign = [](auto x) {
  using T = decltype(x);
  return static_cast<T>(x > T{0} ? T{1} : (x < T{0} ? static_cast<T>(-1) : x));
};
constexpr auto tanh_fast = [](auto x) {
  if constexpr (std::is_same_v<decltype(x), float>) {
    return tanh_f32(x);
  } else {
    return std::tanh(x);
  }
};
constexpr auto erf_fast = [](auto x) {
  if constexpr (std::is_same_v<decltype(x), float>) {
    return erf_f32(x);
  } else {
    return std::erf(x);
  }
};

constexpr auto floor_of = [](auto x) { return std::floor(x); };
constexpr auto ceil_of = [](auto x) { return std::ceil(x); };
constexpr auto round_of = [](auto x) { return std::nearbyint(x); };  // half to even
constexpr auto sqrt_of = [](auto x) { return std::sqrt(x); };
constexpr auto reciprocal = [](auto x) { return decltype(x){1} / x; };
constexpr auto exp_of = [](auto x) { return std::exp(x); };
constexpr auto log_of = [](auto x) { return std::log(x); };
constexpr auto sin_of = [](auto x) { return std::sin(x); };
constexpr auto cos_of = [](auto x) { return std::cos(x); };
constexpr auto tan_of = [](auto x) { return std::tan(x); };
constexpr auto asin_of = [](auto x) { return std::asin(x); };
constexpr auto acos_of = [](auto x) { return std::acos(x); };
constexpr auto atan_of = [](auto x) { return std::atan(x); };
constexpr auto sinh_of = [](auto x) { return std::sinh(x); };
constexpr auto cosh_of = [](auto x) { return std::cosh(x); };
constexpr auto asinh_of = [](auto x) { return std::asinh(x); };
constexpr auto acosh_of = [](auto x) { return std::acosh(x); };
constexpr auto atanh_of = [](auto x) { return std::atanh(x); };
constexpr auto is_nan = [](auto x) { return std::isnan(x); };
constexpr auto bitwise_not = [](auto x) { return static_cast<decltype(x)>(~x); };
constexpr auto logical_not = [](bool x) { return !x; };

void eval_is_inf(EvalContext& context) {
  const bool positive = context.node.attributes.integer("detect_positive", 1) != 0;
  const bool negative = context.node.attributes.integer("detect_negative", 1) != 0;
  map<kFloats>(context,
               [=](auto x) { return std::isinf(x) && (x > decltype(x){0} ? positive : negative); });
}

constexpr std::string_view kTable =
    "a function of one 8-bit code could be a table, but its range "
    "suits no uniform grid: stays in float";

/// Bounded or piecewise linear: worth 256 codes.
constexpr OpRow tabled(std::string_view name, EvalSignature* eval) {
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
  OpRow row = tabled(name, eval);
  row.kernels = kRealFunctionKernels;
  return row;
}

constexpr OpRow in_float(std::string_view name, EvalSignature* eval) {
  OpRow row = tabled(name, eval);
  row.kernels = "eval is already vectorized or bound by the C library";
  row.quant = QuantRole::none;
  row.why_float = kTable;
  return row;
}

constexpr OpRow exact(std::string_view name, InferSignature* infer, EvalSignature* eval) {
  OpRow row = in_float(name, eval);
  row.infer = infer;
  row.why_float = "its operand is not a quantized real";
  row.gradient = Gradient::none;
  row.tolerance = 0;
  return row;
}

constexpr std::array kRows = {
    tabled("Abs", eval_map<kNumbers, absolute>),
    tabled("Neg", eval_map<kFloats | kSigned, negate>),
    in_vectors("Tanh", eval_costly_map<kFloats, tanh_fast>),
    in_vectors("Erf", eval_costly_map<kFloats, erf_fast>),
    tabled("Sin", eval_costly_map<kFloats, sin_of>),
    tabled("Cos", eval_costly_map<kFloats, cos_of>),
    tabled("Atan", eval_costly_map<kFloats, atan_of>),
    tabled("Sqrt", eval_map<kFloats, sqrt_of>),
    in_float("Sign", eval_map<kNumbers, sign>),
    in_float("Floor", eval_map<kFloats, floor_of>),
    in_float("Ceil", eval_map<kFloats, ceil_of>),
    in_float("Round", eval_map<kFloats, round_of>),
    in_float("Reciprocal", eval_map<kFloats, reciprocal>),
    in_float("Exp", eval_costly_map<kFloats, exp_of>),
    in_float("Log", eval_costly_map<kFloats, log_of>),
    in_float("Tan", eval_costly_map<kFloats, tan_of>),
    in_float("Asin", eval_costly_map<kFloats, asin_of>),
    in_float("Acos", eval_costly_map<kFloats, acos_of>),
    in_float("Sinh", eval_costly_map<kFloats, sinh_of>),
    in_float("Cosh", eval_costly_map<kFloats, cosh_of>),
    in_float("Asinh", eval_costly_map<kFloats, asinh_of>),
    in_float("Acosh", eval_costly_map<kFloats, acosh_of>),
    in_float("Atanh", eval_costly_map<kFloats, atanh_of>),
    exact("IsNaN", infer_predicate, eval_map<kFloats, is_nan>),
    exact("IsInf", infer_predicate, eval_is_inf),
    exact("BitwiseNot", infer_same, eval_map<kIntegers, bitwise_not>),
    exact("Not", infer_same, eval_map<kBool, logical_not>),
};

}  // namespace

std::span<const OpRow> unary_ops() { return kRows; }

}  // namespace nibble
