// Operators of two operands with broadcasting: Add ... Pow, Mod, BitShift, Bitwise*, PRelu.
#include <array>
#include <cmath>

#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"
#include "ops/support/spatial.h"

namespace nibble {
namespace {

// Integers wrap around, as two's complement does: computed unsigned.
constexpr auto add = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  } else {
    return a + b;
  }
};
constexpr auto subtract = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
  } else {
    return a - b;
  }
};
constexpr auto multiply = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  } else {
    return a * b;
  }
};
// Truncates towards zero, as C does. Division by zero is an error in the data.
constexpr auto divide = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) fail(ErrorCode::invalid_data, "integer division by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(a));
    }
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
};
// fmod = 0: the result has the divisor's sign (Python). fmod = 1: the dividend's (C).
constexpr auto floor_mod = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) fail(ErrorCode::invalid_data, "integer division by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return T{0};
      const T rest = a % b;
      return static_cast<T>(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
    } else {
      return static_cast<T>(a % b);
    }
  } else {
    const T rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
};
constexpr auto c_mod = [](auto a, auto b) {
  using T = decltype(a);
  if constexpr (std::is_integral_v<T>) {
    if (b == 0) fail(ErrorCode::invalid_data, "integer division by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return T{0};
    }
    return static_cast<T>(a % b);
  } else {
    return std::fmod(a, b);
  }
};
constexpr auto bit_and = [](auto a, auto b) { return static_cast<decltype(a)>(a & b); };
constexpr auto bit_or = [](auto a, auto b) { return static_cast<decltype(a)>(a | b); };
constexpr auto bit_xor = [](auto a, auto b) { return static_cast<decltype(a)>(a ^ b); };
// A shift by the width or more leaves nothing.
constexpr auto shift_left = [](uint64_t a, uint64_t b) { return b < 64 ? a << b : uint64_t{0}; };
constexpr auto shift_right = [](uint64_t a, uint64_t b) { return b < 64 ? a >> b : uint64_t{0}; };
constexpr auto prelu = [](auto x, auto slope) {
  return x < decltype(x){0} ? multiply(x, slope) : x;
};

// Exact integer power; a negative exponent truncates towards zero.
template <typename T>
T integer_power(T base, T exponent) {
  if constexpr (std::is_signed_v<T>) {
    if (exponent < 0) return base == 1 ? 1 : (base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0);
  }
  uint64_t result = 1;
  uint64_t square = static_cast<uint64_t>(base);
  for (auto rest = static_cast<uint64_t>(exponent); rest != 0; rest >>= 1, square *= square) {
    if ((rest & 1U) != 0) result *= square;
  }
  return static_cast<T>(result);
}

template <auto f>
void eval_with_clamp(EvalContext& context) {
  const Clamp clamp = context.node.clamp;
  if (!clamp.any()) return zip<kNumbers>(context, f);
  zip<kFloats>(context, [=](auto a, auto b) {
    using T = decltype(a);
    const T y = f(a, b);
    const T above = y < static_cast<T>(clamp.low) ? static_cast<T>(clamp.low) : y;
    return above > static_cast<T>(clamp.high) ? static_cast<T>(clamp.high) : above;
  });
}

void eval_mod(EvalContext& context) {
  if (context.node.attributes.integer("fmod", 0) != 0) return zip<kNumbers>(context, c_mod);
  zip<kNumbers>(context, floor_mod);
}

void eval_bit_shift(EvalContext& context) {
  const std::string direction = context.node.attributes.text("direction", "");
  if (direction == "LEFT") return zip<kUnsigned>(context, shift_left);
  if (direction == "RIGHT") return zip<kUnsigned>(context, shift_right);
  fail(ErrorCode::invalid_model, "attribute 'direction' is \"{}\", expected LEFT or RIGHT",
       direction);
}

// The exponent may have another type; the result has the base's.
std::vector<TensorType> infer_pow(const NodeTypes& types) {
  return one_output(types.input(0).dtype, broadcast_shapes(types.shape(0), types.shape(1)));
}

Tensor power_in(EvalContext& context, DType dtype) {
  const Tensor a = convert(context.input(0), dtype);
  const Tensor b = convert(context.input(1), dtype);
  Tensor out(dtype, broadcast_shapes(a.shape(), b.shape()));
  zip<kNumbers>(
      context.pool, a, b, out,
      [](auto x, auto y) {
        if constexpr (std::is_integral_v<decltype(x)>) {
          return integer_power(x, y);
        } else {
          return std::pow(x, y);
        }
      },
      kCostlyGrain);
  return out;
}

// x^2 and x^0.5 are what LayerNormalization and the like are exported as: no call of pow().
bool eval_common_power(EvalContext& context) {
  const Tensor& base = context.input(0);
  const Tensor& exponent = context.input(1);
  if (base.dtype() != DType::f32 || exponent.dtype() != DType::f32) return false;
  if (exponent.elements() != 1 || exponent.shape().rank() > base.shape().rank()) return false;
  const float value = exponent.data<float>()[0];
  if (value == 2.0F) {
    zip<kFloats>(context, [](auto x, auto) { return x * x; });
  } else if (value == 1.0F) {
    context.set_output(0, base);
  } else {
    return false;
  }
  return true;
}

void eval_pow(EvalContext& context) {
  if (eval_common_power(context)) return;
  const DType base = context.input(0).dtype();
  const DType exponent = context.input(1).dtype();
  if (base == exponent && (base == DType::f32 || base == DType::f64)) {
    return context.set_output(0, power_in(context, base));
  }
  const bool integers = is_integer(base) && is_integer(exponent);
  const bool same_sign = is_signed(base) == is_signed(exponent);
  const DType wide =
      !integers ? DType::f64 : (same_sign && !is_signed(base) ? DType::u64 : DType::i64);
  context.set_output(0, convert(power_in(context, wide), base));
}

std::vector<TensorType> infer_prelu(const NodeTypes& types) {
  broadcast_shapes(types.shape(0), types.shape(1));  // must fit
  return infer_same(types);
}

constexpr std::string_view kFast = "eval already runs in place over contiguous rows";
constexpr std::string_view kNotReal = "its operands are plain integers, not quantized reals";

constexpr OpRow on_two(std::string_view name, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_broadcast,
          .eval = eval,
          .kernels = kFast,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::elementwise};
}

constexpr OpRow in_float(std::string_view name, EvalSignature* eval, std::string_view why) {
  OpRow row = on_two(name, eval);
  row.why_float = why;
  return row;
}

// With one operand a single constant, the other decides: a table of its codes.
template <auto make>
constexpr std::array kKernels = {
    kTableKernel,
    KernelRow{.name = "arithmetic on u8 codes",
              .reads = {Reads::u8, Reads::u8},
              .gives = Gives::u8,
              .make = make},
};

template <auto make>
constexpr OpRow arithmetic(std::string_view name, EvalSignature* eval) {
  OpRow row = on_two(name, eval);
  row.kernels = kKernels<make>;
  row.quant = QuantRole::arithmetic;
  return row;
}

constexpr OpRow bitwise(std::string_view name, EvalSignature* eval) {
  OpRow row = in_float(name, eval, kNotReal);
  row.gradient = Gradient::none;
  row.tolerance = 0;
  return row;
}

constexpr OpRow with_clamp(OpRow row) {
  row.takes_clamp = true;
  return row;
}

constexpr OpRow with_infer(OpRow row, InferSignature* infer) {
  row.infer = infer;
  return row;
}

constexpr std::array kRows = {
    with_clamp(arithmetic<integer_add>("Add", eval_with_clamp<add>)),
    arithmetic<integer_add>("Sub", eval_with_clamp<subtract>),
    arithmetic<integer_mul>("Mul", eval_with_clamp<multiply>),
    in_float("Div", eval_with_clamp<divide>, "a quotient of codes has no integer form"),
    in_float("Mod", eval_mod, "a remainder of codes has no integer form"),
    with_infer(in_float("Pow", eval_pow, "its range suits no uniform grid: stays in float"),
               infer_pow),
    with_infer(in_float("PRelu", eval_zip<kNumbers, prelu>,
                        "a slope per channel: not a table of one code; stays in float"),
               infer_prelu),
    bitwise("BitShift", eval_bit_shift),
    bitwise("BitwiseAnd", eval_zip<kIntegers, bit_and>),
    bitwise("BitwiseOr", eval_zip<kIntegers, bit_or>),
    bitwise("BitwiseXor", eval_zip<kIntegers, bit_xor>),
};

}  // namespace

std::span<const OpRow> arithmetic_ops() { return kRows; }

}  // namespace nibble
