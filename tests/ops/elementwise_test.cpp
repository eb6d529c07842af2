// Elementwise operators: values, broadcasting, element types, opset differences, rounding and ties.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "nibble/error.h"
#include "ops/op_case.h"

namespace nibble::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

Tensor sub_byte(DType dtype, const Shape& shape, std::vector<int32_t> values) {
  return pack_integers(dtype, shape, values);
}

Tensor half(const Shape& shape, std::initializer_list<float> values) {
  return convert(f32(shape, values), DType::f16);
}

std::vector<OpCase> cases() {
  return {
      {"Abs", {f32({3}, {-1, 0, 2})}, {f32({3}, {1, 0, 2})}},
      {"Abs", {i8({2}, {-128, 5})}, {i8({2}, {-128, 5})}},
      {"Neg", {i32({3}, {-1, 0, 2})}, {i32({3}, {1, 0, -2})}},
      {"Sign", {f32({3}, {-3, 0, kInf})}, {f32({3}, {-1, 0, 1})}},
      {"Round",
       {f32({7}, {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 2.4F})},
       {f32({7}, {0, 2, 2, 0, -2, -2, 2})}},
      {"Floor", {f32({2}, {-1.5F, 1.5F})}, {f32({2}, {-2, 1})}},
      {"Sqrt", {half({2}, {4, 9})}, {half({2}, {2, 3})}},
      {"Erf", {f32({2}, {0, 0.5F})}, {f32({2}, {0, 0.52049988F})}},
      {"Tanh", {f32({4}, {0, 0.1F, -2, 50})}, {f32({4}, {0, 0.09966799F, -0.96402758F, 1})}},
      {"IsNaN", {f32({3}, {1, kNan, kInf})}, {boolean({3}, {false, true, false})}},
      {"IsInf", {f32({3}, {1, -kInf, kInf})}, {boolean({3}, {false, true, true})}},
      {"IsInf",
       {f32({3}, {1, -kInf, kInf})},
       {boolean({3}, {false, false, true})},
       {{"detect_negative", int64_t{0}}}},
      {"Not", {boolean({2}, {true, false})}, {boolean({2}, {false, true})}},
      {"BitwiseNot", {u8({2}, {0, 0xf0})}, {u8({2}, {0xff, 0x0f})}},

      {"Add", {f32({2, 2}, {1, 2, 3, 4}), f32({2}, {10, 20})}, {f32({2, 2}, {11, 22, 13, 24})}},
      {"Add",
       {f32({2, 1}, {1, 2}), f32({1, 3}, {10, 20, 30})},
       {f32({2, 3}, {11, 21, 31, 12, 22, 32})}},
      {"Add", {u8({1}, {250}), u8({1}, {10})}, {u8({1}, {4})}},  // wraps
      {"Add", {f32({3}, {-5, 1, 9}), f32({}, {0})}, {f32({3}, {0, 1, 6})}, {}, 21, "", Clamp{0, 6}},
      {"Sub", {f32({}, {1}), f32({2}, {1, 2})}, {f32({2}, {0, -1})}},
      {"Mul", {i64({2}, {3, -4}), i64({}, {5})}, {i64({2}, {15, -20})}},
      {"Mul", {f32({0, 2}, {}), f32({2}, {1, 2})}, {f32({0, 2}, {})}},
      {"Div", {i32({3}, {-7, 7, 7}), i32({3}, {2, -2, 2})}, {i32({3}, {-3, -3, 3})}},
      {"Div", {f32({2}, {1, -1}), f32({2}, {0, 0})}, {f32({2}, {kInf, -kInf})}},
      {"Mod", {i32({4}, {-7, 7, -7, 7}), i32({4}, {3, -3, -3, 3})}, {i32({4}, {2, -2, -1, 1})}},
      {"Mod",
       {f32({2}, {-7.5F, 7.5F}), f32({2}, {2, -2})},
       {f32({2}, {-1.5F, 1.5F})},
       {{"fmod", int64_t{1}}}},
      {"Pow", {f32({3}, {1, 2, 3}), f32({}, {2})}, {f32({3}, {1, 4, 9})}},
      {"Pow", {f32({2}, {2, 9}), i64({2}, {-1, 2})}, {f32({2}, {0.5F, 81})}},
      {"Pow",
       {i64({3}, {3, -2, 2}), i64({3}, {39, 3, -1})},
       {i64({3}, {4052555153018976267, -8, 0})}},
      {"Pow", {i32({2}, {4, 2}), f32({2}, {0.5F, 3})}, {i32({2}, {2, 8})}},
      {"BitShift",
       {u8({2}, {0x81, 1}), u8({2}, {1, 9})},
       {u8({2}, {2, 0})},
       {{"direction", std::string("LEFT")}}},
      {"BitShift",
       {u8({2}, {0x81, 1}), u8({2}, {1, 1})},
       {u8({2}, {0x40, 0})},
       {{"direction", std::string("RIGHT")}}},
      {"BitwiseXor", {i32({2}, {5, -1}), i32({}, {1})}, {i32({2}, {4, -2})}},
      {"PRelu",
       {f32({2, 2}, {-1, 2, -3, 4}), f32({2, 1}, {0.5F, 0.1F})},
       {f32({2, 2}, {-0.5F, 2, -0.3F, 4})}},

      {"Max", {f32({3}, {1, 5, kNan}), f32({3}, {4, 2, 1})}, {f32({3}, {4, 5, kNan})}},
      {"Min",
       {i32({1}, {1}), i32({2, 1}, {2, 0}), i32({1, 2}, {0, 3})},
       {i32({2, 2}, {0, 1, 0, 0})}},
      {"Sum", {f32({2}, {1, 2})}, {f32({2}, {1, 2})}},
      {"Mean", {f32({2}, {1, 2}), f32({}, {3}), f32({2}, {5, 4})}, {f32({2}, {3, 3})}},

      {"Equal", {boolean({2}, {true, false}), boolean({}, {true})}, {boolean({2}, {true, false})}},
      {"Less", {f32({3}, {1, 2, kNan}), f32({}, {2})}, {boolean({3}, {true, false, false})}},
      {"GreaterOrEqual", {u8({2}, {200, 1}), u8({2}, {200, 2})}, {boolean({2}, {true, false})}},
      {"Xor", {boolean({2}, {true, false}), boolean({}, {true})}, {boolean({2}, {false, true})}},
      {"Where",
       {boolean({2, 1}, {true, false}), i64({2}, {1, 2}), i64({}, {9})},
       {i64({2, 2}, {1, 2, 9, 9})}},

      {"Cast",
       {f32({4}, {-1.9F, 1.9F, 300, kNan})},
       {u8({4}, {255, 1, 44, 0})},
       {{"to", int64_t{2}}}},
      {"Cast", {f32({2}, {0, -0.5F})}, {boolean({2}, {false, true})}, {{"to", int64_t{9}}}},
      {"Cast", {f32({2}, {7, 8})}, {sub_byte(DType::i4, {2}, {7, -8})}, {{"to", int64_t{22}}}},
      {"Cast",
       {sub_byte(DType::u4, {3}, {0, 9, 15})},
       {f32({3}, {0, 9, 15})},
       {{"to", int64_t{1}}}},
      {"CastLike", {i64({2}, {1, -1}), half({1}, {0})}, {half({2}, {1, -1})}},

      {"Clip",
       {f32({3}, {-1, 0.5F, 2})},
       {f32({3}, {0, 0.5F, 1})},
       {{"min", 0.0F}, {"max", 1.0F}},
       6},
      {"Clip", {f32({3}, {-1, 0.5F, 2}), {}, f32({}, {1})}, {f32({3}, {-1, 0.5F, 1})}},
      {"Clip", {i8({2}, {-100, 100}), i8({}, {-5})}, {i8({2}, {-5, 100})}},
      {"Relu", {f32({3}, {-1, 0, 2})}, {f32({3}, {0, 0, 2})}},
      {"Relu", {i8({2}, {-1, 2})}, {i8({2}, {0, 2})}},
      {"LeakyRelu", {f32({2}, {-1, 1})}, {f32({2}, {-0.01F, 1})}},
      {"Elu", {f32({2}, {-1, 1})}, {f32({2}, {-0.63212056F, 1})}},
      {"Selu", {f32({2}, {-1, 1})}, {f32({2}, {-1.1113307F, 1.0507010F})}},
      {"Celu", {f32({2}, {-2, 1})}, {f32({2}, {-1.2642411F, 1})}, {{"alpha", 2.0F}}},
      {"Sigmoid", {f32({4}, {0, 1, -200, 200})}, {f32({4}, {0.5F, 0.73105858F, 0, 1})}},
      {"HardSigmoid", {f32({3}, {-9, 1, 9})}, {f32({3}, {0, 0.7F, 1})}},
      {"HardSwish", {f32({4}, {-4, -1, 1, 4})}, {f32({4}, {0, -0.33333333F, 0.66666667F, 4})}},
      {"Softplus", {f32({3}, {-100, 0, 100})}, {f32({3}, {0, 0.69314718F, 100})}},
      {"Softsign", {f32({2}, {-1, 3})}, {f32({2}, {-0.5F, 0.75F})}},
      {"Gelu", {f32({2}, {-1, 1})}, {f32({2}, {-0.15865525F, 0.84134475F})}},
      {"Gelu",
       {f32({2}, {-1, 1})},
       {f32({2}, {-0.15880801F, 0.84119199F})},
       {{"approximate", std::string("tanh")}}},
      {"Mish", {f32({2}, {-1, 1})}, {f32({2}, {-0.30340146F, 0.86509839F})}},
      {"Swish", {f32({2}, {-1, 1})}, {f32({2}, {-0.26894142F, 0.73105858F})}, {}, 24},
      {"ThresholdedRelu", {f32({3}, {1, 2, 3})}, {f32({3}, {0, 0, 3})}, {{"alpha", 2.0F}}},
      {"Shrink",
       {f32({3}, {-2, 0.5F, 2})},
       {f32({3}, {-1, 0, 1})},
       {{"lambd", 1.5F}, {"bias", 1.0F}}},
  };
}

TEST(elementwise, cases_hold) {
  for (const OpCase& op_case : cases()) expect_case(op_case);
}

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::f32, shape);
  Random random(seed);
  for (float& value : tensor.data<float>()) value = static_cast<float>(random.normal());
  return tensor;
}

// Every pattern of broadcasting, against indices computed one by one; large enough to be cut into
// pieces by three threads.
TEST(elementwise, broadcasting_reaches_the_same_elements_as_plain_indexing) {
  const std::vector<std::pair<Shape, Shape>> pairs = {
      {{4, 3, 50, 40}, {4, 3, 50, 40}},
      {{4, 3, 50, 40}, {}},
      {{}, {4, 3, 50, 40}},
      {{4, 3, 50, 40}, {40}},
      {{4, 3, 50, 40}, {3, 1, 1}},
      {{1, 3, 1, 1}, {4, 3, 50, 40}},
      {{4, 3, 50, 40}, {4, 1, 50, 1}},
      {{4, 1, 50, 1}, {1, 3, 1, 40}},
      {{7, 1, 5}, {1, 6000, 1}},
  };
  for (const auto& [a_shape, b_shape] : pairs) {
    SCOPED_TRACE(a_shape.to_string() + " - " + b_shape.to_string());
    const Tensor a = random_tensor(a_shape, 1);
    const Tensor b = random_tensor(b_shape, 2);
    OpCase op_case{"Sub", {a, b}, {Tensor()}};
    const Tensor result = evaluate(op_case, 3)[0];
    const Shape& shape = result.shape();
    Tensor expected(DType::f32, shape);
    for (int64_t i = 0; i < expected.elements(); ++i) {
      int64_t rest = i, at_a = 0, at_b = 0, step_a = 1, step_b = 1;
      for (int axis = 1; axis <= shape.rank(); ++axis) {
        const int64_t at = rest % shape[shape.rank() - axis];
        rest /= shape[shape.rank() - axis];
        if (axis <= a_shape.rank()) {
          const int64_t extent = a_shape[a_shape.rank() - axis];
          at_a += (extent == 1 ? 0 : at) * step_a;
          step_a *= extent;
        }
        if (axis <= b_shape.rank()) {
          const int64_t extent = b_shape[b_shape.rank() - axis];
          at_b += (extent == 1 ? 0 : at) * step_b;
          step_b *= extent;
        }
      }
      expected.data<float>()[static_cast<size_t>(i)] =
          a.data<float>()[static_cast<size_t>(at_a)] - b.data<float>()[static_cast<size_t>(at_b)];
    }
    expect_near(result, expected, 0);
  }
}

TEST(elementwise, integer_division_by_zero_is_an_error) {
  EXPECT_THROW(evaluate({"Div", {i32({1}, {1}), i32({1}, {0})}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"Mod", {u8({1}, {1}), u8({1}, {0})}, {Tensor()}}), Error);
}

TEST(elementwise, operands_that_do_not_fit_are_refused_with_both_shapes) {
  const OpCase op_case{"Add", {f32({2}, {1, 2}), f32({3}, {1, 2, 3})}, {Tensor()}};
  try {
    infer(op_case);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "shapes [2] and [3] cannot be broadcast together");
  }
  EXPECT_THROW(evaluate(op_case), Error);
  EXPECT_THROW(infer({"Add", {f32({1}, {1}), i32({1}, {1})}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"Clip", {f32({1}, {1}), i32({}, {1})}, {Tensor()}}), Error);
}

}  // namespace
}  // namespace nibble::testing
