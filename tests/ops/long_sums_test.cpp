// Sums over more elements than f32 can count: every operator that adds up is right about 17.6
// million ones, for any number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ops/op_case.h"
#include "ops/op_runner.h"

namespace nibble::testing {
namespace {

constexpr int64_t kSide = 4200;
constexpr int64_t kCount = kSide * kSide;  // over 2^24, where f32 stops counting
constexpr double kSum = static_cast<double>(kCount);
using Ints = std::vector<int64_t>;

Tensor filled(const Shape& shape, float value) {
  Tensor tensor(DType::f32, shape);
  std::ranges::fill(tensor.data<float>(), value);
  return tensor;
}

struct LongSum {
  const char* op;
  std::vector<Tensor> inputs;
  double expected;  // of every element of output 0; of the last for CumSum
  std::vector<std::pair<std::string, Attribute>> attributes = {};
};

std::vector<LongSum> long_sums() {
  const Tensor image = filled({1, 1, kSide, kSide}, 1), row = filled({1, kCount}, 1);
  const Tensor one = filled({1}, 1), zero = filled({1}, 0);
  const Tensor zeros = filled({1, kCount}, 0), columns = filled({kCount / 2, 2}, 0);
  return {
      {"GlobalAveragePool", {image}, 1},
      {"AveragePool", {image}, 1, {{"kernel_shape", Ints{kSide, kSide}}}},
      {"GlobalLpPool", {image}, kSum, {{"p", int64_t{1}}}},
      {"LpPool", {image}, kSide, {{"kernel_shape", Ints{kSide, kSide}}}},
      {"ReduceSum", {row}, kSum},
      {"ReduceMean", {row}, 1},
      {"ReduceL1", {row}, kSum},
      {"ReduceL2", {row}, kSide},
      {"ReduceSumSquare", {row}, kSum},
      {"ReduceLogSum", {row}, std::log(kSum)},
      {"ReduceLogSumExp", {zeros}, std::log(kSum)},
      {"Softmax", {zeros}, 1 / kSum},
      {"LogSoftmax", {zeros}, -std::log(kSum)},
      {"Softmax", {columns}, 2 / kSum, {{"axis", int64_t{0}}}},
      {"LogSoftmax", {columns}, -std::log(kSum / 2), {{"axis", int64_t{0}}}},
      {"LayerNormalization", {row, one, zero}, 0},
      {"RMSNormalization", {row, one}, 1, {{"epsilon", 0.0F}}},
      {"InstanceNormalization", {image, one, zero}, 0},
      {"LpNormalization", {row}, 1 / kSum, {{"p", int64_t{1}}}},
      {"MeanVarianceNormalization", {image}, 0},
      {"CumSum", {row, i64({}, {1})}, kSum},
      {"MatMul", {row, filled({kCount, 1}, 1)}, kSum},
  };
}

TEST(long_sums, are_right_and_the_same_for_every_thread_count) {
  for (const LongSum& sum : long_sums()) {
    SCOPED_TRACE(sum.op);
    const Node node =
        test::make_node(sum.op, sum.inputs.size(), test::make_attributes(sum.attributes));
    const Tensor result = test::run_eval(node, sum.inputs)[0];
    const std::span<const float> values = result.data<float>();
    const auto [least, most] = std::ranges::minmax(values);
    const double tolerance = 1e-6 * std::max(std::abs(sum.expected), 1e-3 / kSum);
    EXPECT_NEAR(values.back(), sum.expected, tolerance);
    if (std::string_view(sum.op) == "CumSum") continue;
    EXPECT_NEAR(least, sum.expected, tolerance);
    EXPECT_NEAR(most, sum.expected, tolerance);
    EXPECT_TRUE(test::same_bytes(result, test::run_eval(node, sum.inputs, 3)[0]));
  }
}

}  // namespace
}  // namespace nibble::testing
