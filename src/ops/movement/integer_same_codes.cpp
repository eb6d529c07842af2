// Operators that move or select codes: their own kernels, which take u8 like any element type.
#include <algorithm>
#include <array>

#include "kernels/layout.h"
#include "ops/quantization/integer.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

// The operator's prepared kernel, else its evaluation, on u8. `fill` takes the place of input 2:
// the code of the value that Pad writes.
class OnCodes : public Kernel {
 public:
  OnCodes(const OpRow& row, std::unique_ptr<Kernel> inner, Tensor fill, const Shape& out)
      : row_(row), inner_(std::move(inner)), fill_(std::move(fill)), out_shape_(out) {}

  void run(EvalContext& context) const override {
    if (fill_.empty()) return evaluate(context);
    std::array<Tensor, 4> inputs;
    for (size_t i = 0; i < std::min(inputs.size(), context.input_count()); ++i) {
      inputs[i] = context.input(i);
    }
    inputs[2] = fill_;
    std::array<Tensor, 1> output = {context.output(0, DType::u8, out_shape_)};
    EvalContext inner(context.node, context.opset, inputs, output, context.pool);
    inner.workspace = context.workspace;
    evaluate(inner);
  }
  size_t workspace_bytes() const override { return inner_ ? inner_->workspace_bytes() : 0; }
  std::string describe() const override { return (inner_ ? inner_->describe() : "eval") + " u8"; }

 private:
  void evaluate(EvalContext& context) const {
    inner_ ? inner_->run(context) : row_.eval.function(context);
  }
  const OpRow& row_;
  std::unique_ptr<Kernel> inner_;
  Tensor fill_;
  Shape out_shape_;
};

class Exchange : public Kernel {
 public:
  Exchange(const LayoutShape& shape, const Shape& out) : shape_(shape), out_shape_(out) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    to_channels_last(shape_, context.input(0).data<uint8_t>().data(), out.data<uint8_t>().data(),
                     context.pool);
  }
  std::string describe() const override { return "transpose u8"; }

 private:
  LayoutShape shape_;
  Shape out_shape_;
};

// The row's own prepared kernel for u8 data.
std::unique_ptr<Kernel> prepare_on_codes(const KernelSpec& spec, const OpRow& row) {
  if (!row.prepare) return nullptr;
  std::vector<TensorType> inputs;
  std::vector<Tensor> constants;
  for (size_t i = 0; i < spec.types.input_count(); ++i) {
    inputs.push_back(spec.types.input(i));
    constants.push_back(spec.types.constant(i) != nullptr ? *spec.types.constant(i) : Tensor());
  }
  inputs[0] = {.dtype = DType::u8, .shape = inputs[0].shape, .quant = {}};
  std::vector<TensorType> outputs(spec.outputs.begin(), spec.outputs.end());
  for (TensorType& type : outputs) {
    if (type.dtype != DType::undefined)
      type = {.dtype = DType::u8, .shape = type.shape, .quant = {}};
  }
  const NodeTypes types(spec.types.node, spec.types.opset, inputs, constants);
  return row.prepare.function({.types = types, .outputs = outputs, .threads = spec.threads});
}

// The code that Pad writes; nullopt if it is not known, or between two codes.
std::optional<Tensor> fill_code(const NodeTypes& types) {
  float value = types.node.attributes.real("value", 0);
  if (types.has(2)) {
    if (types.constant(2) == nullptr) return std::nullopt;
    value = convert(*types.constant(2), DType::f32).data<float>()[0];
  }
  const QuantParams& quant = *types.input(0).quant;
  Tensor code = quantize_tensor(Tensor::scalar(value), quant);
  if (dequantize_tensor(code, quant).data<float>()[0] != value) return std::nullopt;
  return code;
}

}  // namespace

std::optional<LayoutShape> exchanged_axes(const Node& transpose, const Shape& in) {
  std::vector<int64_t> permutation = transpose.attributes.integers("perm");
  if (permutation.empty()) {
    for (int axis = in.rank(); axis-- > 0;) permutation.push_back(axis);
  }
  int same = 0;
  while (same < in.rank() && permutation[static_cast<size_t>(same)] == same) ++same;
  if (same == in.rank()) return std::nullopt;
  const auto middle = static_cast<int>(permutation[static_cast<size_t>(same)]);
  for (int i = same; i < in.rank(); ++i) {
    const int source = middle + (i - same);
    const int wrapped = source < in.rank() ? source : source - in.rank() + same;
    if (permutation[static_cast<size_t>(i)] != wrapped) return std::nullopt;
  }
  return LayoutShape{.batch = in.elements(0, same),
                     .channels = in.elements(same, middle),
                     .spatial = in.elements(middle, in.rank())};
}

std::unique_ptr<Kernel> integer_same_codes(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const OpRow& row = require_op(types.node, types.opset);
  if (types.node.op == "Transpose") {
    if (const auto shape = exchanged_axes(types.node, types.shape(0))) {
      return std::make_unique<Exchange>(*shape, spec.outputs[0].shape);
    }
  }
  Tensor fill;
  if (types.node.op == "Pad") {
    const std::optional<Tensor> code = fill_code(types);
    if (!code) return spec.refuse("its value is not one of the codes");
    fill = *code;
  } else {
    for (size_t i = 1; i < types.input_count(); ++i) {
      if (types.has(i) && is_float(types.input(i).dtype)) {
        return spec.refuse("it has another operand in real numbers");
      }
    }
  }
  std::unique_ptr<Kernel> inner = prepare_on_codes(spec, row);
  if (!inner && !row.eval) return spec.refuse("it has no evaluation");
  return std::make_unique<OnCodes>(row, std::move(inner), std::move(fill), spec.outputs[0].shape);
}

}  // namespace nibble
