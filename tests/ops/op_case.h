// One case of one operator: what goes in and what must come out.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "ops/op.h"

namespace nibble::testing {

struct OpCase {
  std::string op;
  std::vector<Tensor> inputs;    // an empty tensor: an optional input left out
  std::vector<Tensor> expected;  // one for each output
  std::vector<std::pair<std::string, Attribute>> attributes = {};
  int opset = 21;
  std::string domain = "";
  Clamp clamp = {};  // as fused into the node
  bool channels_last = false;
};

/// Prints as the operator, its input types and attributes.
std::ostream& operator<<(std::ostream& out, const OpCase& op_case);

/// Infers and evaluates the operator and expects: the inferred types are those of the results, with
/// the inputs' values known or not; unknown shapes are accepted; the results are `expected` within
/// the row's tolerance, and the same bits with one thread and with three.
void expect_case(const OpCase& op_case);

/// Evaluates with `threads` threads.
std::vector<Tensor> evaluate(const OpCase& op_case, int threads = 1);
std::vector<TensorType> infer(const OpCase& op_case);

/// Values agree within `relative` of the larger of 1 and the expected magnitude; NaN equals NaN.
void expect_near(const Tensor& actual, const Tensor& expected, double relative);

/// Shorthands for literals.
inline Tensor f32(const Shape& shape, std::initializer_list<float> values) {
  return Tensor::of<float>(shape, values);
}
inline Tensor i64(const Shape& shape, std::initializer_list<int64_t> values) {
  return Tensor::of<int64_t>(shape, values);
}
inline Tensor i32(const Shape& shape, std::initializer_list<int32_t> values) {
  return Tensor::of<int32_t>(shape, values);
}
inline Tensor u8(const Shape& shape, std::initializer_list<uint8_t> values) {
  return Tensor::of<uint8_t>(shape, values);
}
inline Tensor i8(const Shape& shape, std::initializer_list<int8_t> values) {
  return Tensor::of<int8_t>(shape, values);
}
inline Tensor boolean(const Shape& shape, std::initializer_list<bool> values) {
  return Tensor::of<bool>(shape, values);
}

}  // namespace nibble::testing
