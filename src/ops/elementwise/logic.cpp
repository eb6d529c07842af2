// Comparisons, logic and Where.
#include <array>
#include <cstring>

#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

constexpr auto equal = [](auto a, auto b) { return a == b; };
constexpr auto less = [](auto a, auto b) { return a < b; };
constexpr auto less_or_equal = [](auto a, auto b) { return a <= b; };
constexpr auto greater = [](auto a, auto b) { return a > b; };
constexpr auto greater_or_equal = [](auto a, auto b) { return a >= b; };
constexpr auto logical_and = [](bool a, bool b) { return a && b; };
constexpr auto logical_or = [](bool a, bool b) { return a || b; };
constexpr auto logical_xor = [](bool a, bool b) { return a != b; };

std::vector<TensorType> infer_where(const NodeTypes& types) {
  if (types.input(1).dtype != types.input(2).dtype) {
    fail(ErrorCode::invalid_model, "operands have different element types, {} and {}",
         name_of(types.input(1).dtype), name_of(types.input(2).dtype));
  }
  return one_output(
      types.input(1).dtype,
      broadcast_shapes(types.shape(0), broadcast_shapes(types.shape(1), types.shape(2))));
}

template <typename Bits>
void select(EvalContext& context, Tensor& out) {
  const Tensor& x = context.input(1);
  const Tensor& y = context.input(2);
  const bool* condition = context.input(0).data<bool>().data();
  const auto loop =
      broadcast_loop<3>(out.shape(), {&context.input(0).shape(), &x.shape(), &y.shape()});
  const auto* yes = static_cast<const Bits*>(x.raw());
  const auto* no = static_cast<const Bits*>(y.raw());
  auto* to = static_cast<Bits*>(out.raw());
  const bool all_step = loop.step(0) == 1 && loop.step(1) == 1 && loop.step(2) == 1;
  context.pool.parallel_ranges(loop.elements, kCheapGrain, [&](int64_t begin, int64_t end) {
    loop.walk(begin, end, [&](int64_t first, int64_t count, const auto& at) {
      if (all_step) {
        for (int64_t i = 0; i < count; ++i) {
          to[first + i] = condition[at[0] + i] ? yes[at[1] + i] : no[at[2] + i];
        }
        return;
      }
      for (int64_t i = 0; i < count; ++i) {
        to[first + i] = condition[at[0] + i * loop.step(0)] ? yes[at[1] + i * loop.step(1)]
                                                            : no[at[2] + i * loop.step(2)];
      }
    });
  });
}

void eval_where(EvalContext& context) {
  const DType dtype = context.input(1).dtype();
  Tensor& out = context.output(
      0, dtype,
      broadcast_shapes(context.input(0).shape(),
                       broadcast_shapes(context.input(1).shape(), context.input(2).shape())));
  switch (bits_of(dtype)) {
    case 8:
      return select<uint8_t>(context, out);
    case 16:
      return select<uint16_t>(context, out);
    case 32:
      return select<uint32_t>(context, out);
    case 64:
      return select<uint64_t>(context, out);
    default:
      fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
  }
}

constexpr OpRow comparison(std::string_view name, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = 2,
          .max_inputs = 2,
          .infer = infer_comparison,
          .eval = eval,
          .kernels = "eval already runs in place over contiguous rows",
          .why_float = "gives truth values, not codes",
          .gradient = Gradient::none,
          .layout = LayoutRole::elementwise,
          .tolerance = 0};
}

constexpr OpRow where_row() {
  OpRow row = comparison("Where", eval_where);
  row.min_inputs = row.max_inputs = 3;
  row.infer = infer_where;
  row.why_float = "selects between two grids: stays in float";
  row.gradient = Gradient::autograd;
  return row;
}

constexpr std::array kRows = {
    comparison("Equal", eval_zip<kNumbers | kBool, equal>),
    comparison("Less", eval_zip<kNumbers, less>),
    comparison("LessOrEqual", eval_zip<kNumbers, less_or_equal>),
    comparison("Greater", eval_zip<kNumbers, greater>),
    comparison("GreaterOrEqual", eval_zip<kNumbers, greater_or_equal>),
    comparison("And", eval_zip<kBool, logical_and>),
    comparison("Or", eval_zip<kBool, logical_or>),
    comparison("Xor", eval_zip<kBool, logical_xor>),
    where_row(),
};

}  // namespace

std::span<const OpRow> logic_ops() { return kRows; }

}  // namespace nibble
