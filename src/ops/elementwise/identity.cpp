// Operators that pass their input on: Identity, and Dropout as it is at inference.
#include <algorithm>
#include <array>

#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"

namespace nibble {
namespace {

std::vector<TensorType> infer_identity(const NodeTypes& types) {
  return {{.dtype = types.input(0).dtype, .shape = types.shape(0), .quant = {}}};
}

void eval_identity(EvalContext& context) { context.set_output(0, context.input(0)); }

std::vector<TensorType> infer_dropout(const NodeTypes& types) {
  std::vector<TensorType> outputs = infer_identity(types);
  if (types.node.outputs.size() > 1) {
    outputs.push_back({.dtype = types.opset >= 10 ? DType::boolean : types.input(0).dtype,
                       .shape = types.shape(0),
                       .quant = {}});
  }
  return outputs;
}

void eval_dropout(EvalContext& context) {
  context.set_output(0, context.input(0));
  if (!context.wants(1)) return;
  const DType dtype = context.opset >= 10 ? DType::boolean : context.input(0).dtype();
  Tensor ones(DType::boolean, context.input(0).shape());
  std::ranges::fill(ones.data<bool>(), true);
  context.set_output(1, convert(ones, dtype));
}

constexpr std::array kRows = {
    OpRow{.name = "Identity",
          .infer = infer_identity,
          .eval = eval_identity,
          .kernels = kMovedByEval,
          .quant = QuantRole::same_codes,
          .view = always_view,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::elementwise,
          .tolerance = 0},
    OpRow{.name = "Dropout",
          .min_inputs = 1,
          .max_inputs = 3,
          .max_outputs = 2,
          .infer = infer_dropout,
          .eval = eval_dropout,
          .kernels = "removed before compilation, or a view",
          .quant = QuantRole::same_codes,
          .view = always_view,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::elementwise,
          .tolerance = 0},
};

}  // namespace

std::span<const OpRow> identity_ops() { return kRows; }

}  // namespace nibble
