#include "onnx/expansion_cases/expansion_case.h"

#include <algorithm>

namespace nibble::testing {

std::vector<ExpansionCase> expansion_cases() {
  std::vector<ExpansionCase> cases;
  add_activation_cases(cases);
  add_attention_cases(cases);
  add_block_cases(cases);
  add_dynamic_cases(cases);
  add_fused_cases(cases);
  add_normalization_cases(cases);
  add_qlinear_cases(cases);
  add_renamed_cases(cases);
  return cases;
}

std::vector<double> numbers(size_t count, uint32_t seed, double low, double high) {
  std::vector<double> values(count);
  uint32_t state = seed * 2654435761U + 1;
  for (double& value : values) {
    state = state * 1664525U + 1013904223U;
    value = f(low + (high - low) * static_cast<double>(state >> 8U) / 16777216.0);
  }
  return values;
}

Tensor reals(const Shape& shape, const std::vector<double>& values) {
  const std::vector<float> narrow(values.begin(), values.end());
  return Tensor::of<float>(shape, std::span<const float>(narrow));
}

Tensor codes(DType dtype, const Shape& shape, const std::vector<int32_t>& values) {
  return pack_integers(dtype, shape, values);
}

std::vector<int32_t> some_codes(size_t count, uint32_t seed, int low, int high) {
  std::vector<int32_t> values;
  for (const double value : numbers(count, seed, low, high + 1)) {
    values.push_back(static_cast<int32_t>(std::floor(value)));
  }
  return values;
}

Tensor quantized(DType dtype, const Shape& shape, const std::vector<double>& values, double scale,
                 int zero) {
  std::vector<int32_t> result;
  for (const double value : values) {
    const double code = std::nearbyint(value / f(scale)) + zero;
    result.push_back(static_cast<int32_t>(std::clamp(code, static_cast<double>(lowest_of(dtype)),
                                                     static_cast<double>(highest_of(dtype)))));
  }
  return codes(dtype, shape, result);
}

}  // namespace nibble::testing
