// Functions of one element: trigonometry, rounding, and activations that libtorch composes.
#include <array>

#include "base/check.h"
#include "train/torch/op.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;

template <Tensor (Tensor::*function)() const>
Outputs unary(const Call& call) {
  return {(call.in(0).*function)()};
}

Outputs celu(const Call& call) {
  return {torch::celu(call.in(0), call.node.attributes.real("alpha", 1))};
}

// x beyond lambd on either side is drawn to zero by bias; the rest is zero.
Outputs shrink(const Call& call) {
  const Tensor& x = call.in(0);
  const float bias = call.node.attributes.real("bias", 0);
  const float lambda = call.node.attributes.real("lambd", 0.5F);
  const Tensor zero = torch::zeros_like(x);
  return {torch::where(x > lambda, x - bias, torch::where(x < -lambda, x + bias, zero))};
}

Outputs swish(const Call& call) {
  const Tensor& x = call.in(0);
  return {x * torch::sigmoid(x * call.node.attributes.real("alpha", 1))};
}

Outputs thresholded_relu(const Call& call) {
  const Tensor& x = call.in(0);
  return {torch::where(x > call.node.attributes.real("alpha", 1), x, torch::zeros_like(x))};
}

// fmod = 1: the sign of the dividend, else that of the divisor.
Outputs mod(const Call& call) {
  const bool c = call.node.attributes.integer("fmod", 0) != 0;
  return {c ? torch::fmod(call.in(0), call.in(1)) : torch::remainder(call.in(0), call.in(1))};
}

constexpr std::array kRows = {
    TorchOpRow{"Acos", unary<&Tensor::acos>, kSingular},
    TorchOpRow{"Acosh", unary<&Tensor::acosh>, kSingular},
    TorchOpRow{"Asin", unary<&Tensor::asin>, kSingular},
    TorchOpRow{"Asinh", unary<&Tensor::asinh>},
    TorchOpRow{"Atan", unary<&Tensor::atan>},
    TorchOpRow{"Atanh", unary<&Tensor::atanh>},
    TorchOpRow{"Ceil", unary<&Tensor::ceil>},
    TorchOpRow{"Celu", celu},
    TorchOpRow{"Cosh", unary<&Tensor::cosh>},
    TorchOpRow{"Floor", unary<&Tensor::floor>},
    TorchOpRow{"Mod", mod},
    TorchOpRow{"Round", unary<&Tensor::round>},
    TorchOpRow{"Shrink", shrink},
    TorchOpRow{"Sign", unary<&Tensor::sign>},
    TorchOpRow{"Sinh", unary<&Tensor::sinh>},
    TorchOpRow{"Swish", swish},
    TorchOpRow{"Tan", unary<&Tensor::tan>},
    TorchOpRow{"ThresholdedRelu", thresholded_relu},
};

}  // namespace

std::span<const TorchOpRow> torch_function_ops() { return kRows; }

}  // namespace nibble
