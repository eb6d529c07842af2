#include "ops/convolution/conv.h"

#include "ops/movement/transpose.h"
#include "ops/op_runner.h"
#include "ops/support/reference.h"

namespace nibble::test {
namespace {

constexpr Clamp kRelu{.low = 0};

struct ConvCase {
  std::vector<int64_t> data;    // [N,C,spatial...]
  std::vector<int64_t> weight;  // [O,I/group,k...]
  int64_t group = 1;
  std::vector<int64_t> strides, dilations, pads;
  std::string auto_pad = "NOTSET";
  bool bias = true;
  Clamp clamp;

  Node node(bool channels_last) const {
    Attributes attributes;
    attributes.set("group", group);
    if (!strides.empty()) attributes.set("strides", strides);
    if (!dilations.empty()) attributes.set("dilations", dilations);
    if (!pads.empty()) attributes.set("pads", pads);
    if (auto_pad != "NOTSET") attributes.set("auto_pad", auto_pad);
    Node node = make_node("Conv", bias ? 3 : 2, attributes);
    node.channels_last = channels_last;
    node.clamp = clamp;
    return node;
  }
};

const std::vector<ConvCase>& cases() {
  static const std::vector<ConvCase> all = {
      {{1, 3, 9, 11}, {8, 3, 3, 3}, 1, {2, 2}, {}, {1, 1, 1, 1}},
      {{1, 3, 32, 32}, {16, 3, 3, 3}, 1, {1, 1}, {}, {1, 1, 1, 1}, "NOTSET", true, kRelu},
      {{2, 16, 13, 7}, {16, 16, 3, 3}, 1, {}, {}, {1, 1, 1, 1}, "NOTSET", false},
      {{3, 17, 9, 9}, {33, 17, 1, 1}, 1, {}, {}, {}, "NOTSET", true, {-0.5F, 1.0F}},
      {{1, 64, 7, 7}, {32, 64, 1, 1}, 1, {2, 2}},
      {{2, 16, 8, 6}, {32, 16, 1, 1}, 1, {2, 2}},  // the last row of each image is not read
      {{2, 24, 10, 10}, {24, 1, 3, 3}, 24, {1, 1}, {}, {1, 1, 1, 1}, "NOTSET", true, kRelu},
      {{1, 19, 11, 9}, {19, 1, 5, 5}, 19, {2, 2}, {}, {2, 2, 2, 2}},
      {{1, 12, 8, 8}, {24, 4, 3, 3}, 3, {}, {}, {1, 0, 0, 1}},
      {{1, 32, 8, 8}, {64, 16, 3, 3}, 2, {}, {}, {1, 1, 1, 1}},
      {{1, 8, 12, 12}, {8, 8, 3, 3}, 1, {}, {2, 3}, {2, 3, 2, 3}},
      {{1, 5, 17, 18}, {7, 5, 4, 4}, 1, {3, 2}, {}, {}, "SAME_UPPER"},
      {{1, 5, 17, 18}, {7, 5, 4, 4}, 1, {3, 2}, {}, {}, "SAME_LOWER"},
      {{2, 4, 6, 6}, {4, 4, 3, 3}, 1, {}, {}, {}, "VALID"},
      {{1, 1, 1, 1}, {1, 1, 1, 1}},
      {{1, 2, 2, 2}, {3, 2, 1, 1}, 1, {}, {}, {2, 2, 2, 2}},  // windows wholly in the padding
      {{2, 6, 33}, {10, 6, 5}, 1, {2}, {}, {2, 2}},
      {{1, 65, 100}, {65, 1, 3}, 65, {}, {2}, {4, 0}},
      {{1, 4, 5, 6, 7}, {6, 4, 3, 3, 3}, 1, {1, 2, 1}, {}, {1, 1, 1, 1, 1, 1}},
      {{1, 128, 31, 31}, {64, 128, 3, 3}, 1, {}, {}, {1, 1, 1, 1}},
  };
  return all;
}

Tensor channels_last(const Tensor& tensor) {
  std::vector<int> axes = {0};
  for (int axis = 2; axis < tensor.shape().rank(); ++axis) axes.push_back(axis);
  axes.push_back(1);
  return permuted(tensor, axes);
}

std::vector<Tensor> inputs_of(const ConvCase& c) {
  std::vector<Tensor> inputs = {random_tensor(Shape(c.data), 1), random_tensor(Shape(c.weight), 2)};
  if (c.bias) inputs.push_back(random_tensor({c.weight[0]}, 3));
  return inputs;
}

Tensor expected(const Node& node, const std::vector<Tensor>& inputs) {
  const ConvProblem problem =
      conv_problem(node, inputs[0].shape(), inputs[1].shape(), inputs.size() > 2);
  Tensor out(DType::f32, problem.output_shape());
  reference_conv<float>(problem, inputs[0].data<float>(), inputs[1].data<float>(),
                        inputs.size() > 2 ? inputs[2].data<float>() : std::span<float>(),
                        out.data<float>());
  return out;
}

TEST(Conv, equals_plain_loops_in_both_layouts) {
  for (const ConvCase& c : cases()) {
    SCOPED_TRACE(Shape(c.data).to_string() + " * " + Shape(c.weight).to_string());
    std::vector<Tensor> inputs = inputs_of(c);
    const Tensor want = expected(c.node(false), inputs);
    EXPECT_LT(max_error(run_eval(c.node(false), inputs)[0], want), 1e-4);
    inputs[0] = channels_last(inputs[0]);
    const Tensor got = run_eval(c.node(true), inputs)[0];
    EXPECT_LT(max_error(got, channels_last(want)), 1e-4);
    EXPECT_EQ(run_infer(c.node(true), inputs)[0].shape, got.shape());
  }
}

TEST(Conv, prepared_kernel_is_the_same_for_every_thread_count) {
  for (const ConvCase& c : cases()) {
    SCOPED_TRACE(Shape(c.data).to_string() + " * " + Shape(c.weight).to_string());
    std::vector<Tensor> inputs = inputs_of(c);
    inputs[0] = channels_last(inputs[0]);
    const Tensor want = expected(c.node(true), inputs);
    const std::vector<Tensor> one = run_prepared(c.node(true), inputs, {false, true, true}, 1);
    if (one.empty()) continue;
    EXPECT_LT(max_error(one[0], want), 1e-4);
    for (int threads : {2, 3}) {
      const std::vector<Tensor> more =
          run_prepared(c.node(true), inputs, {false, true, true}, threads);
      EXPECT_TRUE(same_bytes(one[0], more[0]))
          << threads << " threads: " << max_error(more[0], one[0]);
    }
  }
}

TEST(Conv, runs_in_double_and_half_precision) {
  const ConvCase c = cases()[0];
  std::vector<Tensor> inputs = inputs_of(c);
  const Tensor want = expected(c.node(false), inputs);
  for (const auto& [dtype, tolerance] : {std::pair{DType::f64, 1e-5}, {DType::f16, 2e-2}}) {
    std::vector<Tensor> converted;
    for (const Tensor& input : inputs) converted.push_back(convert(input, dtype));
    const Tensor got = run_eval(c.node(false), converted)[0];
    EXPECT_EQ(got.dtype(), dtype);
    EXPECT_LT(max_error(convert(got, DType::f32), want), tolerance);
  }
}

TEST(Conv, rejects_a_weight_that_does_not_fit_the_data) {
  const Node node = make_node("Conv", 2);
  EXPECT_THROW(run_infer(node, {random_tensor({1, 3, 8, 8}, 1), random_tensor({4, 2, 3, 3}, 2)}),
               Error);
  EXPECT_THROW(run_infer(node, {random_tensor({1, 3, 2, 2}, 1), random_tensor({4, 3, 3, 3}, 2)}),
               Error);
}

}  // namespace
}  // namespace nibble::test
