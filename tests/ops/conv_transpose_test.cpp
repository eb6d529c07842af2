// The kernels of ConvTranspose, which are convolutions, against the operator's plain loops.
#include "ops/op_runner.h"
#include "support/tensors.h"

namespace nibble::test {
namespace {

using Ints = std::vector<int64_t>;
using testing::max_error;
using testing::random_tensor;

struct TransposeCase {
  Shape data;    // [N,C,spatial...]
  Shape weight;  // [I,O/group,k...]
  std::vector<std::pair<std::string, Attribute>> attributes;
  Clamp clamp = {};
};

std::vector<TransposeCase> cases() {
  return {
      {{1, 3, 5, 6}, {3, 4, 3, 3}, {}},
      {{2, 3, 5, 6}, {3, 4, 3, 3}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}},
      {{1, 4, 4, 5}, {4, 3, 4, 4}, {{"strides", Ints{2, 3}}, {"group", int64_t{2}}}},
      {{1, 2, 3, 3}, {2, 3, 1, 2}, {{"strides", Ints{3, 4}}}},
      {{1, 2, 5, 4},
       {2, 3, 3, 2},
       {{"strides", Ints{2, 2}}, {"dilations", Ints{2, 1}}, {"pads", Ints{2, 0, 1, 0}}}},
      {{1, 2, 5, 4}, {2, 3, 3, 3}, {{"strides", Ints{2, 2}}, {"output_shape", Ints{10, 8}}}},
      {{1, 2, 9}, {2, 3, 5}, {{"strides", Ints{2}}, {"pads", Ints{4, 3}}}, {.low = 0}},
  };
}

Node node_of(const TransposeCase& c, bool channels_last) {
  Attributes attributes;
  for (const auto& [name, value] : c.attributes) attributes.set(name, value);
  Node node = make_node("ConvTranspose", 3, attributes);
  node.clamp = c.clamp;
  node.channels_last = channels_last;
  return node;
}

std::vector<Tensor> inputs_of(const TransposeCase& c, uint64_t seed) {
  int64_t group = 1;
  for (const auto& [name, value] : c.attributes) {
    if (name == "group") group = std::get<int64_t>(value);
  }
  return {random_tensor(c.data, seed), random_tensor(c.weight, seed + 1),
          random_tensor({c.weight[1] * group}, seed + 2)};
}

Tensor channels_moved_last(const Tensor& tensor) {
  std::vector<int> axes = {0};
  for (int axis = 2; axis < tensor.shape().rank(); ++axis) axes.push_back(axis);
  axes.push_back(1);
  return permuted(tensor, axes);
}

TEST(conv_transpose, the_kernel_of_convolutions_gives_what_the_plain_loops_give) {
  uint64_t seed = 1;
  for (const TransposeCase& c : cases()) {
    std::vector<Tensor> inputs = inputs_of(c, ++seed);
    const Tensor expected = channels_moved_last(run_eval(node_of(c, false), inputs)[0]);
    inputs[0] = channels_moved_last(inputs[0]);
    for (const int threads : {1, 3}) {
      const auto results = run_prepared(node_of(c, true), inputs, {false, true, true}, threads);
      ASSERT_EQ(results.size(), 1U) << seed;
      EXPECT_LE(max_error(results[0], expected), 1e-5) << seed;
    }
  }
}

TEST(conv_transpose, the_plain_loops_run_channels_last_too) {
  uint64_t seed = 20;
  for (const TransposeCase& c : cases()) {
    std::vector<Tensor> inputs = inputs_of(c, ++seed);
    const Tensor expected = channels_moved_last(run_eval(node_of(c, false), inputs)[0]);
    inputs[0] = channels_moved_last(inputs[0]);
    EXPECT_EQ(max_error(run_eval(node_of(c, true), inputs)[0], expected), 0) << seed;
  }
}

TEST(conv_transpose, has_no_kernel_for_a_weight_that_is_computed) {
  const TransposeCase c = cases()[0];
  std::vector<Tensor> inputs = inputs_of(c, 1);
  inputs[0] = channels_moved_last(inputs[0]);
  EXPECT_TRUE(run_prepared(node_of(c, true), inputs, {}).empty());
  EXPECT_FALSE(run_prepared(node_of(c, true), inputs, {false, true, true}).empty());
}

}  // namespace
}  // namespace nibble::test
