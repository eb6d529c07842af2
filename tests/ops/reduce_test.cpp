// Reductions and softmax against plain loops, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "ops/op_case.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

using Ints = std::vector<int64_t>;

// All subsets of the axes, so that every alternation of kept and reduced axes occurs.
TEST(reduce, every_subset_of_axes_equals_plain_loops) {
  const Shape shape = {3, 5, 20, 17};
  const Tensor in = random_tensor(shape, 3);
  for (int subset = 1; subset < 16; ++subset) {
    SCOPED_TRACE(subset);
    Ints axes;
    Shape kept = shape;
    for (int axis = 0; axis < 4; ++axis) {
      if ((subset >> axis & 1) == 0) continue;
      axes.push_back(axis);
      kept[axis] = 1;
    }
    std::vector<double> sums(static_cast<size_t>(kept.elements()));
    for (int64_t i = 0; i < in.elements(); ++i) {
      int64_t rest = i, at = 0, step = 1;
      for (int axis = 3; axis >= 0; --axis) {
        at += (kept[axis] == 1 ? 0 : rest % shape[axis]) * step;
        step *= kept[axis];
        rest /= shape[axis];
      }
      sums[static_cast<size_t>(at)] += in.data<float>()[static_cast<size_t>(i)];
    }
    Tensor expected(DType::f32, kept);
    for (size_t i = 0; i < sums.size(); ++i) {
      expected.data<float>()[i] = static_cast<float>(sums[i]);
    }
    const Tensor list = Tensor::of<int64_t>({static_cast<int64_t>(axes.size())}, axes);
    expect_case({"ReduceSum", {in, list}, {expected}});
  }
}

TEST(softmax, equals_exponentials_over_their_sum_along_every_axis) {
  const Shape shape = {3, 40, 70};
  const Tensor in = random_tensor(shape, 4);
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t inner = shape.elements(axis + 1, 3);
    Tensor expected(DType::f32, shape);
    for (int64_t i = 0; i < in.elements(); ++i) {
      const int64_t first = i - i / inner % shape[axis] * inner;
      double sum = 0;
      for (int64_t k = 0; k < shape[axis]; ++k) {
        sum +=
            std::exp(static_cast<double>(in.data<float>()[static_cast<size_t>(first + k * inner)]));
      }
      const auto at = static_cast<size_t>(i);
      expected.data<float>()[at] =
          static_cast<float>(std::exp(static_cast<double>(in.data<float>()[at])) / sum);
    }
    expect_case({"Softmax", {in}, {expected}, {{"axis", int64_t{axis}}}});
  }
}

TEST(softmax, before_opset_13_is_taken_over_all_axes_from_one_on) {
  const Tensor in = f32({1, 2, 2}, {0, std::log(3.0F), std::log(2.0F), std::log(4.0F)});
  const Tensor pairs = f32({1, 2, 2}, {0.25F, 0.75F, 2.0F / 6, 4.0F / 6});
  const Tensor whole = f32({1, 2, 2}, {0.1F, 0.3F, 0.2F, 0.4F});
  for (const auto& [axis, expected] :
       {std::pair(int64_t{-1}, pairs), {2, pairs}, {-2, whole}, {1, whole}}) {
    expect_case({"Softmax", {in}, {expected}, {{"axis", axis}}, 11});
  }
}

TEST(reduce, an_axis_out_of_range_or_given_twice_is_refused) {
  const Tensor square = f32({2, 2}, {1, 2, 3, 4});
  EXPECT_THROW(infer({"ReduceSum", {square, i64({1}, {2})}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"ReduceSum", {square, i64({2}, {1, -1})}, {Tensor()}}), Error);
  EXPECT_THROW(infer({"Softmax", {square}, {Tensor()}, {{"axis", int64_t{2}}}}), Error);
}

TEST(top_k, more_than_the_axis_has_is_refused) {
  EXPECT_THROW(infer({"TopK", {f32({2}, {1, 2}), i64({1}, {3})}, {Tensor(), Tensor()}}), Error);
  EXPECT_THROW(evaluate({"TopK", {f32({2}, {1, 2}), i64({1}, {-1})}, {Tensor(), Tensor()}}), Error);
}

}  // namespace
}  // namespace nibble::testing
