// Normalizations: both layouts, prepared and not, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/error.h"
#include "ops/op_case.h"
#include "ops/real_kernel.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

// A parameter that is broadcast within the normalized axes.
TEST(layer_normalization, a_scale_of_ones_shape_is_broadcast) {
  const Tensor x = random_tensor({3, 4, 5}, 1);
  const OpCase whole{"LayerNormalization",
                     {x, Tensor::of<float>({4, 5}, std::vector<float>(20, 2))},
                     {Tensor()},
                     {{"axis", int64_t{1}}}};
  OpCase broadcast = whole;
  broadcast.inputs[1] = f32({1, 5}, {2, 2, 2, 2, 2});
  broadcast.expected = evaluate(whole);
  expect_case(broadcast);
}

TEST(layer_normalization, a_large_mean_costs_no_accuracy) {
  const Tensor x = random_tensor({2, 1000}, 2, 1, 1000);
  const Tensor ones = Tensor::of<float>({1000}, std::vector<float>(1000, 1));
  const Tensor y = evaluate({"LayerNormalization", {x, ones}, {Tensor()}})[0];
  double squares = 0;
  for (float v : y.data<float>()) squares += static_cast<double>(v) * static_cast<double>(v);
  EXPECT_NEAR(squares / 2000, 1, 1e-4);
}

Tensor channels_last(const Tensor& x) {
  const Shape& s = x.shape();
  Tensor y(DType::f32, {s[0], s[2], s[1]});
  for (int64_t n = 0; n < s[0]; ++n) {
    for (int64_t c = 0; c < s[1]; ++c) {
      for (int64_t i = 0; i < s[2]; ++i) {
        y.data<float>()[static_cast<size_t>((n * s[2] + i) * s[1] + c)] =
            x.data<float>()[static_cast<size_t>((n * s[1] + c) * s[2] + i)];
      }
    }
  }
  return y;
}

TEST(batch_normalization, channels_last_and_prepared_give_the_same_bits) {
  const Tensor x = random_tensor({3, 19, 300}, 3);
  const Tensor scale = random_tensor({19}, 4, 1, 2), bias = random_tensor({19}, 5);
  const Tensor mean = random_tensor({19}, 6);
  Tensor variance = random_tensor({19}, 7);
  for (float& v : variance.data<float>()) v = std::fabs(v);
  OpCase op_case{"BatchNormalization", {x, scale, bias, mean, variance}, {Tensor()}};
  const Tensor expected = evaluate(op_case)[0];
  op_case.expected = {expected};
  expect_case(op_case);

  Node node;
  node.op = "BatchNormalization";
  node.outputs = {ValueId{5}};
  std::vector<TensorType> types;
  for (const Tensor& t : op_case.inputs) {
    types.push_back({.dtype = t.dtype(), .shape = t.shape(), .quant = {}});
  }
  const NodeTypes node_types(node, 21, types, op_case.inputs);
  const auto kernel = test::make_real_kernel(*find_op("BatchNormalization", ""),
                                             {.types = node_types, .outputs = {}});
  ASSERT_NE(kernel, nullptr);
  ThreadPool pool(2);
  std::vector<Tensor> outputs = {Tensor(DType::f32, x.shape())};
  EvalContext context(node, 21, op_case.inputs, outputs, pool);
  kernel->run(context);
  expect_near(outputs[0], expected, 0);

  op_case.inputs[0] = channels_last(x);
  op_case.channels_last = true;
  expect_near(evaluate(op_case, 2)[0], channels_last(expected), 0);
}

TEST(normalization, parameters_of_another_element_type_are_refused) {
  const Tensor x = f32({1, 2, 2}, {1, 2, 3, 4}), one = f32({2}, {1, 1});
  const Tensor wide = convert(one, DType::f64);
  EXPECT_THROW(infer({"LayerNormalization", {x, wide}, {Tensor()}}), Error);
  EXPECT_THROW(infer({"InstanceNormalization", {x, one, wide}, {Tensor()}}), Error);
  EXPECT_THROW(infer({"BatchNormalization", {x, one, one, wide, one}, {Tensor()}}), Error);
  EXPECT_NO_THROW(infer({"LayerNormalization", {convert(x, DType::f16), one}, {Tensor()}}));
}

TEST(batch_normalization, parameters_of_another_number_of_channels_are_refused) {
  const Tensor two = f32({2}, {1, 1}), three = f32({3}, {1, 1, 1});
  EXPECT_THROW(
      evaluate({"BatchNormalization", {f32({1, 2}, {1, 2}), two, two, three, two}, {Tensor()}}),
      Error);
  EXPECT_THROW(evaluate({"GroupNormalization",
                         {f32({1, 3}, {1, 2, 3}), three, three},
                         {Tensor()},
                         {{"num_groups", int64_t{2}}}}),
               Error);
}

}  // namespace
}  // namespace nibble::testing
