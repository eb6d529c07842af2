// Max, Min, Sum and Mean of any number of operands with broadcasting.
#include <array>

#include "ops/families.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

// A NaN in either operand gives NaN, as numpy's maximum does.
constexpr auto larger = [](auto a, auto b) { return a > b || a != a ? a : b; };
constexpr auto smaller = [](auto a, auto b) { return a < b || a != a ? a : b; };
constexpr auto add = [](auto a, auto b) { return a + b; };
constexpr auto keep_left = [](auto a, auto) { return a; };

Shape result_shape(const EvalContext& context) {
  Shape shape = context.input(0).shape();
  for (size_t i = 1; i < context.input_count(); ++i) {
    const Tensor& input = context.input(i);
    if (input.dtype() != context.input(0).dtype()) {
      fail(ErrorCode::invalid_model, "operands have different element types, {} and {}",
           name_of(context.input(0).dtype()), name_of(input.dtype()));
    }
    shape = broadcast_shapes(shape, input.shape());
  }
  return shape;
}

/// output = f(... f(f(input 0, input 1), input 2) ...).
template <unsigned kTypes, auto f>
void eval_fold(EvalContext& context) {
  const Tensor& first = context.input(0);
  Tensor& out = context.output(0, first.dtype(), result_shape(context));
  if (context.input_count() == 1) return context.set_output(0, first);
  // The first two operands together may not span the result's shape yet; then the first is spread
  // over it before.
  const Shape pair = broadcast_shapes(first.shape(), context.input(1).shape());
  size_t next = 1;
  if (pair == out.shape()) {
    zip<kTypes>(context.pool, first, context.input(1), out, f);
    next = 2;
  } else {
    zip<kTypes>(context.pool, first, out, out, keep_left);
  }
  for (; next < context.input_count(); ++next) {
    zip<kTypes>(context.pool, out, context.input(next), out, f);
  }
}

void eval_mean(EvalContext& context) {
  eval_fold<kFloats, add>(context);
  const float count = static_cast<float>(context.input_count());
  Tensor& out = context.output(0, context.input(0).dtype(), result_shape(context));
  zip<kFloats>(context.pool, out, out, out,
               [count](auto sum, auto) { return sum / static_cast<decltype(sum)>(count); });
}

constexpr OpRow variadic(std::string_view name, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 1,
          .max_inputs = -1,
          .infer = infer_broadcast,
          .eval = eval,
          .kernels = "eval already runs in place over contiguous rows",
          .why_float = "operands of different scales: stays in float",
          .gradient = Gradient::autograd,
          .layout = LayoutRole::elementwise};
}

constexpr std::array kRows = {
    variadic("Max", eval_fold<kNumbers, larger>),
    variadic("Min", eval_fold<kNumbers, smaller>),
    variadic("Sum", eval_fold<kFloats, add>),
    variadic("Mean", eval_mean),
};

}  // namespace

std::span<const OpRow> variadic_ops() { return kRows; }

}  // namespace nibble
