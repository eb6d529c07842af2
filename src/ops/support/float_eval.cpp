#include "ops/support/float_eval.h"

#include "base/check.h"

namespace nibble {
namespace {

// Evaluates on converted inputs; outputs of type `to` go back to `back`.
template <typename Convert>
void eval_converted(EvalContext& context, EvalSignature* eval, const Convert& convert_input,
                    DType to, DType back) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < context.input_count(); ++i) {
    inputs.push_back(convert_input(context.input(i)));
  }
  std::vector<Tensor> outputs(context.output_count());
  EvalContext inner(context.node, context.opset, inputs, outputs, context.pool);
  inner.subgraphs = context.subgraphs;
  eval(inner);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    const bool same = outputs[i].dtype() != to;
    context.set_output(i, same ? outputs[i] : convert(outputs[i], back));
  }
}

}  // namespace

bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

void eval_as_f32(EvalContext& context, EvalSignature* eval) {
  bool any = false;  // nothing to widen: `eval` would ask for it again and again
  for (size_t i = 0; i < context.input_count(); ++i) any |= is_half(context.input(i).dtype());
  if (!any) {
    fail(ErrorCode::unsupported, "element type {} is not supported",
         name_of(context.input(0).dtype()));
  }
  const auto widen = [](const Tensor& input) {
    return is_half(input.dtype()) ? convert(input, DType::f32) : input;
  };
  eval_converted(context, eval, widen, DType::f32, context.input(0).dtype());
}

bool is_packed(DType dtype) { return dtype != DType::undefined && bits_of(dtype) < 8; }

void eval_as_bytes(EvalContext& context, EvalSignature* eval) {
  const auto byte_of = [](DType dtype) { return is_signed(dtype) ? DType::i8 : DType::u8; };
  const auto widen = [&](const Tensor& input) {
    return is_packed(input.dtype()) ? convert(input, byte_of(input.dtype())) : input;
  };
  const DType back = context.input(0).dtype();
  eval_converted(context, eval, widen, byte_of(back), back);
}

}  // namespace nibble
