// Reductions, softmax and running sums.
#include <limits>

#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
using Ints = std::vector<int64_t>;

}  // namespace

std::vector<OpCase> reduction_cases() {
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
      {"ReduceMax", {square, i64({1}, {1})}, {f32({2, 1}, {2, 4})}},
      {"ReduceMin", {square, i64({1}, {0})}, {f32({1, 2}, {1, 2})}},
      {"ReduceProd", {square, i64({1}, {1})}, {f32({2, 1}, {2, 12})}},
      {"ReduceMean", {square, i64({1}, {0})}, {f32({1, 2}, {2, 3})}},
      {"ReduceLogSumExp", {f32({2}, {0, 0})}, {f32({1}, {0.69314718F})}},
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

      {"CumSum",
       {f32({2, 3}, {1, 2, 3, 4, 5, 6}), i32({}, {1})},
       {f32({2, 3}, {1, 3, 6, 4, 9, 15})}},
      {"CumSum",
       {i32({3}, {1, 2, 3}), i64({1}, {0})},
       {i32({3}, {5, 3, 0})},
       {{"reverse", int64_t{1}}, {"exclusive", int64_t{1}}}},
  };
}

}  // namespace nibble::testing
