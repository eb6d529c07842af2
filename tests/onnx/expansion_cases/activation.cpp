// Fused activations.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

ExpansionCase case_of(const char* op, bool has_bias, const std::function<double(double)>& function,
                      std::vector<std::pair<std::string, Attribute>> attributes = {}) {
  const std::vector<double> x = numbers(6, 1), bias = numbers(3, 2);
  std::vector<double> y;
  for (size_t i = 0; i < 6; ++i) y.push_back(function(x[i] + (has_bias ? bias[i % 3] : 0)));
  std::vector<Tensor> inputs = {reals({2, 3}, x)};
  if (has_bias) inputs.push_back(reals({3}, bias));
  return {.node = {.op = op,
                   .inputs = inputs,
                   .expected = {reals({2, 3}, y)},
                   .attributes = std::move(attributes),
                   .opset = 17,
                   .domain = kMicrosoft},
          .constant = {false, true}};
}

}  // namespace

void add_activation_cases(std::vector<ExpansionCase>& cases) {
  const auto gelu = [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); };
  const auto by_tanh = [](double x) {
    return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  };
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  cases.push_back(case_of("Gelu", false, gelu));
  cases.push_back(case_of("BiasGelu", true, gelu));
  cases.push_back(case_of("FastGelu", false, by_tanh));
  cases.push_back(case_of("FastGelu", true, by_tanh));
  cases.push_back(case_of("QuickGelu", false, [&](double x) { return x * sigmoid(1.702 * x); }));
  cases.push_back(
      case_of("QuickGelu", false, [&](double x) { return x * sigmoid(x); }, {{"alpha", 1.0F}}));
}

}  // namespace nibble::testing
