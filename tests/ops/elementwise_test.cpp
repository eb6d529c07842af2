// Elementwise operators beyond their cases: every pattern of broadcasting, and what is refused.
#include <gtest/gtest.h>

#include "nibble/error.h"
#include "ops/op_case.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

TEST(elementwise, a_fused_clamp_is_applied_to_the_result) {
  expect_case({"Add",
               {f32({3}, {-5, 1, 9}), f32({}, {0})},
               {f32({3}, {0, 1, 6})},
               {},
               21,
               "",
               Clamp{0, 6}});
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
