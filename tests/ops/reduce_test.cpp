// Reductions, softmax and operators along one axis.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "nibble/error.h"
#include "ops/op_case.h"

namespace nibble::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
using Ints = std::vector<int64_t>;

std::vector<OpCase> cases() {
  const Tensor square = f32({2, 2}, {1, 2, 3, 4});
  const Tensor empty = f32({2, 0}, {});
  return {
      {"ReduceSum", {square, i64({1}, {1})}, {f32({2, 1}, {3, 7})}},
      {"ReduceSum", {square, i64({1}, {0})}, {f32({1, 2}, {4, 6})}},
      {"ReduceSum", {square}, {f32({1, 1}, {10})}},
      {"ReduceSum",
       {square},
       {f32({2}, {4, 6})},
       {{"axes", Ints{0}}, {"keepdims", int64_t{0}}},
       11},
      {"ReduceSum", {square, i64({0}, {})}, {square}, {{"noop_with_empty_axes", int64_t{1}}}},
      {"ReduceSum", {empty, i64({1}, {1})}, {f32({2, 1}, {0, 0})}},
      {"ReduceSum", {i32({2}, {2000000000, 2000000000})}, {i32({1}, {-294967296})}},
      {"ReduceMean",
       {square},
       {f32({2}, {1.5F, 3.5F})},
       {{"axes", Ints{-1}}, {"keepdims", int64_t{0}}},
       13},
      {"ReduceProd", {empty, i64({1}, {1})}, {f32({2, 1}, {1, 1})}},
      {"ReduceMax", {empty, i64({1}, {1})}, {f32({2, 1}, {-kInf, -kInf})}},
      {"ReduceMax", {i8({2, 1}, {-3, -5}), i64({2}, {0, 1})}, {i8({1, 1}, {-3})}},
      {"ReduceMin", {Tensor(DType::i32, {0}), i64({1}, {0})}, {i32({1}, {2147483647})}},
      {"ReduceMax",
       {boolean({2, 2}, {false, false, true, false}), i64({1}, {1})},
       {boolean({2, 1}, {false, true})}},
      {"ReduceL1", {f32({3}, {-1, 2, -3})}, {f32({1}, {6})}},
      {"ReduceL2", {f32({2}, {3, -4})}, {f32({1}, {5})}},
      {"ReduceL2", {i32({2}, {3, -4})}, {i32({1}, {5})}},
      {"ReduceSumSquare", {f32({2}, {3, -4})}, {f32({1}, {25})}},
      {"ReduceLogSum", {f32({2}, {3, 4})}, {f32({1}, {1.9459101F})}},
      {"ReduceLogSumExp", {f32({2}, {1000, 1000})}, {f32({1}, {1000.6931472F})}},
      {"ReduceLogSumExp", {f32({2}, {-kInf, -kInf})}, {f32({1}, {-kInf})}},

      {"Softmax", {f32({1, 3}, {0, 1, 2})}, {f32({1, 3}, {0.09003057F, 0.24472847F, 0.66524096F})}},
      {"Softmax",
       {f32({2, 2}, {0, 1000, 0, 1000})},
       {f32({2, 2}, {0.5F, 0.5F, 0.5F, 0.5F})},
       {{"axis", int64_t{0}}}},
      {"Softmax",
       {f32({1, 2, 2}, {0, 0, 0, 0})},
       {f32({1, 2, 2}, {0.25F, 0.25F, 0.25F, 0.25F})},
       {},
       11},
      {"Softmax",
       {f32({1, 2, 2}, {0, 0, 0, 0})},
       {f32({1, 2, 2}, {0.5F, 0.5F, 0.5F, 0.5F})},
       {},
       13},
      {"LogSoftmax", {f32({2}, {0, 1000})}, {f32({2}, {-1000, 0})}},
      {"Hardmax", {f32({2, 3}, {1, 3, 3, 2, 1, 0})}, {f32({2, 3}, {0, 1, 0, 1, 0, 0})}},

      {"ArgMax", {f32({2, 3}, {1, 5, 5, 4, 3, 2})}, {i64({2, 1}, {1, 0})}, {{"axis", int64_t{1}}}},
      {"ArgMax",
       {f32({3}, {1, 5, 5})},
       {i64({}, {2})},
       {{"select_last_index", int64_t{1}}, {"keepdims", int64_t{0}}}},
      {"ArgMin", {u8({2, 2}, {200, 1, 100, 3})}, {i64({1, 2}, {1, 0})}},
      {"TopK", {f32({4}, {1, 4, 4, 2}), i64({1}, {3})}, {f32({3}, {4, 4, 2}), i64({3}, {1, 2, 3})}},
      {"TopK",
       {i32({2, 2}, {4, 1, 3, 2}), i64({1}, {1})},
       {i32({1, 2}, {3, 1}), i64({1, 2}, {1, 0})},
       {{"axis", int64_t{0}}, {"largest", int64_t{0}}}},
      {"TopK", {f32({2}, {1, 2})}, {f32({1}, {2}), i64({1}, {1})}, {{"k", int64_t{1}}}, 9},
      {"CumSum",
       {f32({2, 3}, {1, 2, 3, 4, 5, 6}), i32({}, {1})},
       {f32({2, 3}, {1, 3, 6, 4, 9, 15})}},
      {"CumSum",
       {i32({3}, {1, 2, 3}), i64({1}, {0})},
       {i32({3}, {5, 3, 0})},
       {{"reverse", int64_t{1}}, {"exclusive", int64_t{1}}}},
  };
}

TEST(reduce, cases_hold) {
  for (const OpCase& op_case : cases()) expect_case(op_case);
}

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::f32, shape);
  Random random(seed);
  for (float& value : tensor.data<float>()) value = static_cast<float>(random.normal());
  return tensor;
}

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
