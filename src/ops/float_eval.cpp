#include "ops/float_eval.h"

namespace nibble {

bool is_half(DType dtype) { return dtype == DType::f16 || dtype == DType::bf16; }

void eval_as_f32(EvalContext& context, EvalSignature* eval) {
  const DType dtype = context.input(0).dtype();
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < context.input_count(); ++i) {
    const Tensor& input = context.input(i);
    inputs.push_back(is_half(input.dtype()) ? convert(input, DType::f32) : input);
  }
  std::vector<Tensor> outputs(context.output_count());
  EvalContext inner(context.node, context.opset, inputs, outputs, context.pool);
  inner.subgraphs = context.subgraphs;
  eval(inner);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    const bool back = outputs[i].dtype() == DType::f32;
    context.set_output(i, back ? convert(outputs[i], dtype) : outputs[i]);
  }
}

}  // namespace nibble
