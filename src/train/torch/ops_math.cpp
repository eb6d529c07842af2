// Element-wise operators, activations and matrix products.
#include <array>

#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;

Outputs clip(const Call& call) {
  Tensor x = call.in(0);
  const Attributes& attributes = call.node.attributes;
  if (call.has(1)) x = torch::maximum(x, call.in(1).to(x.device()));
  if (call.has(2)) x = torch::minimum(x, call.in(2).to(x.device()));
  if (attributes.has("min")) x = x.clamp_min(attributes.real("min", 0));
  if (attributes.has("max")) x = x.clamp_max(attributes.real("max", 0));
  return {x};
}

Outputs gelu(const Call& call) {
  return {torch::gelu(call.in(0), call.node.attributes.text("approximate", "none"))};
}

Outputs hard_sigmoid(const Call& call) {
  const float alpha = call.node.attributes.real("alpha", 0.2F);
  const float beta = call.node.attributes.real("beta", 0.5F);
  return {(call.in(0) * alpha + beta).clamp(0, 1)};
}

Outputs prelu(const Call& call) {
  const Tensor& x = call.in(0);
  return {torch::where(x > 0, x, x * call.in(1))};
}

Outputs leaky_relu(const Call& call) {
  return {torch::leaky_relu(call.in(0), call.node.attributes.real("alpha", 0.01F))};
}

Outputs elu(const Call& call) {
  return {torch::elu(call.in(0), call.node.attributes.real("alpha", 1.0F))};
}

// Up to opset 12, the tensor is seen as a matrix whose rows are normalised.
Tensor softmax_along(const Call& call, Tensor (*along)(const Tensor&, int64_t)) {
  const Tensor& x = call.in(0);
  if (call.opset >= 13) return along(x, call.axis("axis", -1));
  return along(x.flatten(call.axis("axis", 1)), call.axis("axis", 1)).reshape(x.sizes());
}

Outputs softmax(const Call& call) {
  return {softmax_along(call, [](const Tensor& x, int64_t axis) { return x.softmax(axis); })};
}

Outputs log_softmax(const Call& call) {
  return {softmax_along(call, [](const Tensor& x, int64_t axis) { return x.log_softmax(axis); })};
}

Outputs gemm(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  const Tensor a = attributes.integer("transA", 0) != 0 ? call.in(0).t() : call.in(0);
  const Tensor b = attributes.integer("transB", 0) != 0 ? call.in(1).t() : call.in(1);
  const float alpha = attributes.real("alpha", 1);
  const float beta = attributes.real("beta", 1);
  if (call.has(2)) return {torch::addmm(call.in(2), a, b, beta, alpha)};
  return {alpha == 1 ? torch::mm(a, b) : torch::mm(a, b) * alpha};
}

// Variadic operators with broadcasting.
template <typename Combine>
Tensor fold(const Call& call, Combine combine) {
  Tensor result = call.in(0);
  for (size_t i = 1; i < call.count(); ++i) result = combine(result, call.in(i));
  return result;
}

Outputs einsum(const Call& call) {
  return {torch::einsum(call.node.attributes.text("equation", ""), call.inputs())};
}

constexpr std::array kRows = {
    TorchOpRow{"Abs", [](const Call& c) -> Outputs { return {c.in(0).abs()}; }},
    TorchOpRow{"Add", [](const Call& c) -> Outputs { return {c.in(0) + c.in(1)}; }},
    TorchOpRow{"Clip", clip},
    TorchOpRow{"Cos", [](const Call& c) -> Outputs { return {c.in(0).cos()}; }},
    TorchOpRow{"Det", [](const Call& c) -> Outputs { return {torch::det(c.in(0))}; }},
    TorchOpRow{"Div",
               [](const Call& c) -> Outputs {
                 const bool whole = !c.in(0).is_floating_point();
                 return {whole ? torch::div(c.in(0), c.in(1), "trunc") : c.in(0) / c.in(1)};
               }},
    TorchOpRow{"Einsum", einsum},
    TorchOpRow{"Elu", elu},
    TorchOpRow{"Erf", [](const Call& c) -> Outputs { return {c.in(0).erf()}; }},
    TorchOpRow{"Exp", [](const Call& c) -> Outputs { return {c.in(0).exp()}; }},
    TorchOpRow{"Gelu", gelu},
    TorchOpRow{"Gemm", gemm},
    TorchOpRow{"HardSigmoid", hard_sigmoid},
    TorchOpRow{"HardSwish", [](const Call& c) -> Outputs { return {torch::hardswish(c.in(0))}; }},
    TorchOpRow{"LeakyRelu", leaky_relu},
    TorchOpRow{"Log", [](const Call& c) -> Outputs { return {c.in(0).log()}; }},
    TorchOpRow{"LogSoftmax", log_softmax},
    TorchOpRow{"MatMul", [](const Call& c) -> Outputs { return {c.in(0).matmul(c.in(1))}; }},
    TorchOpRow{"Max",
               [](const Call& c) -> Outputs {
                 return {
                     fold(c, [](const auto& a, const auto& b) { return torch::maximum(a, b); })};
               }},
    TorchOpRow{"Mean",
               [](const Call& c) -> Outputs {
                 const Tensor sum = fold(c, [](const auto& a, const auto& b) { return a + b; });
                 return {sum / static_cast<double>(c.count())};
               }},
    TorchOpRow{"Min",
               [](const Call& c) -> Outputs {
                 return {
                     fold(c, [](const auto& a, const auto& b) { return torch::minimum(a, b); })};
               }},
    TorchOpRow{"Mish", [](const Call& c) -> Outputs { return {torch::mish(c.in(0))}; }},
    TorchOpRow{"Mul", [](const Call& c) -> Outputs { return {c.in(0) * c.in(1)}; }},
    TorchOpRow{"Neg", [](const Call& c) -> Outputs { return {-c.in(0)}; }},
    TorchOpRow{"PRelu", prelu},
    TorchOpRow{"Pow", [](const Call& c) -> Outputs { return {c.in(0).pow(c.in(1))}; }, kSingular},
    TorchOpRow{"Reciprocal", [](const Call& c) -> Outputs { return {c.in(0).reciprocal()}; }},
    TorchOpRow{"Relu", [](const Call& c) -> Outputs { return {torch::relu(c.in(0))}; }},
    TorchOpRow{"Selu", [](const Call& c) -> Outputs { return {torch::selu(c.in(0))}; }},
    TorchOpRow{"Sigmoid", [](const Call& c) -> Outputs { return {torch::sigmoid(c.in(0))}; }},
    TorchOpRow{"Sin", [](const Call& c) -> Outputs { return {c.in(0).sin()}; }},
    TorchOpRow{"Softmax", softmax},
    TorchOpRow{"Softplus", [](const Call& c) -> Outputs { return {torch::softplus(c.in(0))}; }},
    TorchOpRow{"Softsign",
               [](const Call& c) -> Outputs { return {c.in(0) / (1 + c.in(0).abs())}; }},
    TorchOpRow{"Sqrt", [](const Call& c) -> Outputs { return {c.in(0).sqrt()}; }, kSingular},
    TorchOpRow{"Sub", [](const Call& c) -> Outputs { return {c.in(0) - c.in(1)}; }},
    TorchOpRow{"Sum",
               [](const Call& c) -> Outputs {
                 return {fold(c, [](const auto& a, const auto& b) { return a + b; })};
               }},
    TorchOpRow{"Tanh", [](const Call& c) -> Outputs { return {torch::tanh(c.in(0))}; }},
    TorchOpRow{"Where",
               [](const Call& c) -> Outputs { return {torch::where(c.in(0), c.in(1), c.in(2))}; }},
};

}  // namespace

std::span<const TorchOpRow> torch_math_ops() { return kRows; }

}  // namespace nibble
