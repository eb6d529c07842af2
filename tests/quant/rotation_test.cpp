// Rotating channels: in real numbers the same network, and codes that lose less.
#include "quant/rotation.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "../runtime/graphs.h"
#include "output_error.h"

namespace nibble {
namespace {

using test::Builder;

constexpr int64_t kWidth = 32, kHeads = 2, kTokens = 6;

// A transformer's layers, [N,6,32], with two loud channels in the sum that runs through them.
struct Transformer : Builder {
  ValueId weights(const Shape& shape) {
    return constant(testing::random_tensor(shape, random, std::sqrt(3.0 / shape[0])));
  }
  ValueId linear(ValueId x, int64_t inputs, int64_t outputs) {
    const ValueId product = op("MatMul", {x, weights({inputs, outputs})});
    return op("Add", {product, constant(testing::random_tensor({outputs}, random, 0.1))});
  }
  ValueId norm(ValueId x, const std::string& kind = "LayerNormalization") {
    Tensor scale(DType::f32, {kWidth});
    for (float& s : scale.data<float>()) s = static_cast<float>(0.5 + random.uniform());
    std::vector<ValueId> inputs = {x, constant(std::move(scale))};
    if (kind == "LayerNormalization") {
      inputs.push_back(constant(testing::random_tensor({kWidth}, random, 0.2)));
    }
    return op(kind, inputs, {{"axis", int64_t{-1}}});
  }
  ValueId heads(ValueId x, std::vector<int64_t> order) {
    const ValueId cut = op("Reshape", {x, integers({0, -1, kHeads, kWidth / kHeads})});
    return op("Transpose", {cut}, {{"perm", std::move(order)}});
  }
  ValueId attention(ValueId x) {
    const ValueId q = heads(linear(x, kWidth, kWidth), {0, 2, 1, 3});
    const ValueId k = heads(linear(x, kWidth, kWidth), {0, 2, 3, 1});
    const ValueId v = heads(linear(x, kWidth, kWidth), {0, 2, 1, 3});
    const ValueId scores = op("Div", {op("MatMul", {q, k}), constant(Tensor::scalar(4.0F))});
    const ValueId context = op("MatMul", {op("Softmax", {scores}, {{"axis", int64_t{-1}}}), v});
    const ValueId merged =
        op("Reshape", {op("Transpose", {context}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}),
                       integers({0, -1, kWidth})});
    return linear(merged, kWidth, kWidth);
  }
  ValueId perceptron(ValueId x) {
    return linear(op("Relu", {linear(x, kWidth, 2 * kWidth)}), 2 * kWidth, kWidth);
  }
  // What the sum starts with.
  ValueId start() {
    const ValueId x = linear(input("input", {-1, kTokens, 8}), 8, kWidth);
    Tensor places = testing::random_tensor({1, kTokens, kWidth}, random, 0.5);
    for (size_t e = 0; e < places.data<float>().size(); ++e) {
      if (e % kWidth == 3 || e % kWidth == 17) places.data<float>()[e] += 20;
    }
    return op("Add", {x, constant(std::move(places))});
  }
  // The first token of the last normalization, times a matrix.
  ValueId head(ValueId x) {
    const ValueId first =
        op("Gather", {x, constant(Tensor::scalar(int64_t{0}))}, {{"axis", int64_t{1}}});
    return linear(first, kWidth, 5);
  }
};

Graph norms_before(const std::string& kind = "LayerNormalization") {
  Transformer b;
  ValueId x = b.start();
  for (int i = 0; i < 2; ++i) {
    x = b.op("Add", {x, b.attention(b.norm(x, kind))});
    x = b.op("Add", {b.perceptron(b.norm(x, kind)), x});
  }
  b.graph.opsets[""] = 23;
  return prepare_for_quantization(b.finish({b.head(b.norm(x, kind))}));
}

Graph norms_behind() {
  Transformer b;
  ValueId x = b.start();
  x = b.norm(b.op("Add", {x, b.attention(x)}));
  x = b.norm(b.op("Add", {b.perceptron(x), x}));
  return prepare_for_quantization(b.finish({b.head(x)}));
}

ChannelSpaces spaces_of(const Graph& graph) { return find_channel_spaces(graph, {}); }

std::vector<int64_t> widths(const ChannelSpaces& found) {
  std::vector<int64_t> result;
  for (const ChannelSpace& space : found.spaces) result.push_back(space.width);
  std::ranges::sort(result);
  return result;
}

const testing::Synthetic& samples() {
  static const testing::Synthetic data(64, {kTokens, 8});
  return data;
}

TEST(rotation, leaves_the_network_in_real_numbers_as_it_was) {
  for (const std::string kind : {"LayerNormalization", "RMSNormalization"}) {
    const Graph graph = norms_before(kind);
    const ChannelSpaces found = spaces_of(graph);
    // The sum; of each layer queries with keys, and values.
    EXPECT_EQ(widths(found), (std::vector<int64_t>{16, 16, 16, 16, 32})) << kind;
    EXPECT_TRUE(found.fixed.empty()) << kind << ": " << found.fixed[0].reason;
    const Graph rotated = rotate_channels(graph, found.spaces, 1);
    EXPECT_EQ(rotated.nodes().size(), graph.nodes().size()) << "nothing is added";
    EXPECT_GT(testing::output_sqnr(graph, rotated, samples()), 100) << kind;
  }
}

TEST(rotation, makes_weights_and_activations_easier_to_round) {
  const Graph graph = norms_before();
  const ChannelSpaces found = spaces_of(graph);
  const Graph rotated = rotate_channels(graph, found.spaces, 1);
  const RangeReport before = analyze(graph, samples()), after = analyze(rotated, samples());
  for (const ChannelSpace& space : found.spaces) {
    if (space.width != kWidth) continue;
    EXPECT_LT(predicted_noise(rotated, after, space, {}),
              predicted_noise(graph, before, space, {}));
  }
  const QuantizeOptions options{.pair_safe = false};
  const double plain =
      testing::output_sqnr(graph, quantize(graph, before, BitPlan{}, options), samples());
  EXPECT_GT(testing::output_sqnr(graph, quantize(rotated, after, BitPlan{}, options), samples()),
            plain + 1);
}

TEST(rotation, heads_are_mixed_where_the_sum_cannot_be_and_says_why) {
  const Graph graph = norms_behind();
  const ChannelSpaces found = spaces_of(graph);
  EXPECT_EQ(widths(found), (std::vector<int64_t>{16, 16}));
  ASSERT_FALSE(found.fixed.empty());
  EXPECT_NE(found.fixed[0].reason.find("scales channel by channel, and node 'Add"),
            std::string::npos)
      << found.fixed[0].reason;
  EXPECT_GT(testing::output_sqnr(graph, rotate_channels(graph, found.spaces, 1), samples()), 100);
}

TEST(rotation, a_normalization_of_one_scale_commutes) {
  Transformer b;
  const ValueId x = b.start();
  Tensor twos(DType::f32, {kWidth});
  std::ranges::fill(twos.data<float>(), 2.0F);
  const ValueId shift = b.constant(testing::random_tensor({kWidth}, b.random, 0.2));
  const ValueId normal =
      b.op("LayerNormalization", {x, b.constant(std::move(twos)), shift}, {{"axis", int64_t{-1}}});
  const Graph graph =
      prepare_for_quantization(b.finish({b.head(b.op("Add", {normal, b.perceptron(normal)}))}));
  const ChannelSpaces found = spaces_of(graph);
  ASSERT_EQ(found.spaces.size(), 1U);
  EXPECT_TRUE(found.spaces[0].scales.empty());
  EXPECT_GT(testing::output_sqnr(graph, rotate_channels(graph, found.spaces, 1), samples()), 100);
}

TEST(rotation, a_sum_that_is_a_result_stays) {
  Transformer b;
  const ValueId x = b.start();
  const ValueId y = b.head(b.norm(x));
  const Graph graph = prepare_for_quantization(b.finish({y, x}));
  const ChannelSpaces found = spaces_of(graph);
  EXPECT_TRUE(found.spaces.empty());
  ASSERT_EQ(found.fixed.size(), 1U);
  EXPECT_NE(found.fixed[0].reason.find("is a result of the network"), std::string::npos);
}

TEST(rotation, a_constant_that_another_node_reads_stays) {
  Transformer b;
  const ValueId places = b.constant(testing::random_tensor({kTokens, kWidth}, b.random, 0.5));
  const ValueId x = b.op("Add", {b.start(), places});
  const ValueId other = b.op("Add", {b.input("other", {kTokens, kWidth}), places});
  const Graph graph = prepare_for_quantization(b.finish({b.head(b.norm(x)), other}));
  const ChannelSpaces found = spaces_of(graph);
  EXPECT_TRUE(found.spaces.empty());
  ASSERT_EQ(found.fixed.size(), 1U);
  EXPECT_NE(found.fixed[0].reason.find("is read by more than one node"), std::string::npos);
}

}  // namespace
}  // namespace nibble
