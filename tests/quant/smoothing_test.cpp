// Evening out channels: the network in real numbers stays what it was, and its codes get better.
#include "quant/smoothing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "../runtime/graphs.h"
#include "nibble/quantize.h"
#include "output_error.h"

namespace nibble {
namespace {

using test::Builder;

constexpr int64_t kChannels = 16;
const BitPlan kPlan;
const SmoothingLayers kAllEight{.plan = kPlan};

std::vector<std::string> names(const std::vector<SmoothedActivation>& smoothed) {
  std::vector<std::string> result;
  for (const SmoothedActivation& one : smoothed) result.push_back(one.name);
  return result;
}

// One channel of sixteen is forty times as loud.
Tensor loud(uint64_t seed) {
  Random random(seed);
  Tensor factor(DType::f32, {kChannels});
  for (float& x : factor.data<float>()) x = static_cast<float>(0.8 + 0.4 * random.uniform());
  factor.data<float>()[5] *= 40;
  return factor;
}

// Weights that know how loud their channels are: those of channel 5, along `axis`, are as small.
ValueId weight(Builder& b, const Shape& shape, int axis) {
  Tensor tensor = testing::random_tensor(shape, b.random, 0.2);
  int64_t inner = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  for (size_t e = 0; e < tensor.data<float>().size(); ++e) {
    if (static_cast<int64_t>(e) / inner % shape[axis] == 5) tensor.data<float>()[e] /= 40;
  }
  return b.constant(std::move(tensor));
}

// Data [N,4,16], a normalization with a loud channel, two products that read it.
Graph transformer_block(bool residual) {
  Builder b;
  const ValueId x = b.input("input", {-1, 4, kChannels});
  const ValueId normal =
      b.op("LayerNormalization",
           {x, b.constant(loud(1)), b.constant(testing::random_tensor({kChannels}, b.random, 0.1))},
           {{"axis", int64_t{-1}}});
  b.graph.value(normal).name = "normal";
  const ValueId one = b.op("MatMul", {normal, weight(b, {kChannels, 24}, 0)});
  const ValueId two = b.op("MatMul", {normal, weight(b, {kChannels, 24}, 0)});
  ValueId y = b.op("MatMul", {b.op("Mul", {one, two}),
                              b.constant(testing::random_tensor({24, kChannels}, b.random, 0.2))});
  if (residual) y = b.op("Add", {y, normal});
  return b.finish({y});
}

// Data [N,16,6,6], two convolutions with a Relu between them; channel 5 of the first is loud.
Graph convolutions(const std::string& between) {
  Builder b;
  const ValueId x = b.input("input", {-1, kChannels, 6, 6});
  Tensor first = testing::random_tensor({kChannels, kChannels, 3, 3}, b.random, 0.1);
  const Tensor factor = loud(2);
  for (size_t e = 0; e < first.data<float>().size(); ++e) {
    const size_t channel = e / (kChannels * 9);
    float& w = first.data<float>()[e];
    w = (channel == 5 ? std::abs(w) : w) * factor.data<float>()[channel];
  }
  const ValueId bias = b.constant(testing::random_tensor({kChannels}, b.random, 0.1));
  ValueId y = b.op("Conv", {x, b.constant(std::move(first)), bias});
  y = between == "Clip"
          ? b.op("Clip", {y, b.constant(Tensor::scalar(0.0F)), b.constant(Tensor::scalar(6.0F))})
          : b.op(between, {y});
  b.graph.value(y).name = "between";
  return b.finish({b.op("Conv", {y, weight(b, {8, kChannels, 3, 3}, 1)})});
}

// How much farther the loudest channel reaches than the median one.
double unevenness(const Graph& graph, const Dataset& data, const std::string& value) {
  const RangeReport ranges = analyze(graph, data);
  std::vector<double> reach;
  for (const Moments& channel : ranges.find(value)->channels) {
    reach.push_back(std::max(std::abs(channel.minimum), std::abs(channel.maximum)));
  }
  std::ranges::sort(reach);
  return reach.back() / reach[reach.size() / 2];
}

void expect_smoothed(const Graph& graph, const Dataset& data, const std::string& value) {
  const RangeReport before = analyze(graph, data);
  Graph smooth = graph;
  EXPECT_EQ(names(smooth_activations(smooth, before, {.share = 0.5}, kAllEight)),
            std::vector<std::string>{value});
  const double kept = testing::output_sqnr(graph, smooth, data);
  EXPECT_GT(kept, 110) << "in real numbers it is the same network";
  EXPECT_LT(unevenness(smooth, data, value), unevenness(graph, data, value) / 4);

  const QuantizeOptions options{.weight_observer = "min-max",
                                .activation_observer = "min-max",
                                .bias_correction = false,
                                .pair_safe = false};
  const RangeReport after = analyze(smooth, data);
  const double plain =
      testing::output_sqnr(graph, quantize(graph, before, BitPlan{}, options), data);
  const double better =
      testing::output_sqnr(graph, quantize(smooth, after, BitPlan{}, options), data);
  EXPECT_GT(better, plain + 3) << "dB";
}

TEST(smoothing, evens_out_what_a_normalization_gives) {
  expect_smoothed(transformer_block(false), testing::Synthetic(64, {4, kChannels}), "normal");
}

TEST(smoothing, evens_out_what_a_convolution_gives_through_a_relu) {
  const testing::Synthetic data(64, {kChannels, 6, 6});
  expect_smoothed(convolutions("Relu"), data, "between");
}

// By how many dB quantizing is better after evening out by noise.
double gain_by_noise(const Graph& graph, const Dataset& data, const BitPlan& plan,
                     const std::vector<SmoothedActivation>& expected) {
  const QuantizeOptions options{.bias_correction = false, .pair_safe = false};
  const RangeReport before = analyze(graph, data);
  Graph smooth = graph;
  const auto done = smooth_activations(smooth, before, {.by_noise = true}, {.plan = plan});
  EXPECT_EQ(names(done), names(expected));
  for (size_t i = 0; i < std::min(done.size(), expected.size()); ++i) {
    EXPECT_EQ(done[i].absorbed, expected[i].absorbed) << done[i].name;
    EXPECT_GE(done[i].gain_db, 2) << done[i].name;
  }
  EXPECT_EQ(names(smoothing_gains(graph, before, {.plan = plan})), names(done));
  EXPECT_GT(testing::output_sqnr(graph, smooth, data), 110) << "in real numbers the same network";
  const double plain = testing::output_sqnr(graph, quantize(graph, before, plan, options), data);
  const RangeReport after = analyze(smooth, data);
  return testing::output_sqnr(graph, quantize(smooth, after, plan, options), data) - plain;
}

TEST(smoothing, by_noise_goes_as_far_as_gains) {
  const testing::Synthetic data(64, {4, kChannels});
  EXPECT_GT(gain_by_noise(transformer_block(false), data, {},
                          {{.name = "normal"}, {.name = "Mul_out", .absorbed = false}}),
            3);
}

TEST(smoothing, by_noise_multiplies_before_products_where_nothing_can_take_the_factors) {
  const testing::Synthetic data(64, {4, kChannels});
  const std::vector<SmoothedActivation> expected = {{.name = "normal", .absorbed = false},
                                                    {.name = "Mul_out", .absorbed = false}};
  EXPECT_GT(gain_by_noise(transformer_block(true), data, {}, expected), 3);
}

TEST(smoothing, by_noise_weights_alone_follow_the_power_of_their_channels) {
  const BitPlan weights_alone{.fallback = {.weight_bits = 4, .activation_bits = 0}, .layers = {}};
  const testing::Synthetic data(64, {4, kChannels});
  // The weights of loud channels are small, and what rounds them off costs most.
  EXPECT_GT(gain_by_noise(transformer_block(false), data, weights_alone, {{.name = "normal"}}), 3);
}

TEST(smoothing, by_noise_leaves_what_gains_nothing) {
  Builder b;
  const ValueId x = b.input("input", {-1, 4, kChannels});
  const Graph even = b.finish(
      {b.op("MatMul", {x, b.constant(testing::random_tensor({kChannels, 24}, b.random, 0.2))})});
  const RangeReport ranges = analyze(even, testing::Synthetic(64, {4, kChannels}));
  EXPECT_TRUE(smoothing_gains(even, ranges, kAllEight).empty());
}

TEST(smoothing, by_noise_interrupts_no_convolutions) {
  // Nothing before the second convolution takes the factors.
  const testing::Synthetic data(64, {kChannels, 6, 6});
  const Graph graph = convolutions("Sigmoid");
  EXPECT_TRUE(smoothing_gains(graph, analyze(graph, data), kAllEight).empty());
}

void expect_untouched(const Graph& graph, const Dataset& data) {
  Graph same = graph;
  EXPECT_TRUE(smooth_activations(same, analyze(graph, data), {.share = 0.5}, kAllEight).empty());
  EXPECT_EQ(testing::outputs(graph, data), testing::outputs(same, data));
}

TEST(smoothing, leaves_what_more_than_layers_with_weights_read) {
  expect_untouched(transformer_block(true), testing::Synthetic(8, {4, kChannels}));
}

TEST(smoothing, leaves_what_a_bound_or_a_curve_stands_before) {
  const testing::Synthetic data(8, {kChannels, 6, 6});
  expect_untouched(convolutions("Clip"), data);
  expect_untouched(convolutions("Sigmoid"), data);
}

TEST(smoothing, channels_that_are_dead_have_no_factor) {
  Graph graph = convolutions("Relu");
  const testing::Synthetic data(16, {kChannels, 6, 6});
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (value.is_constant() && value.type.shape == Shape{kChannels}) {
      value.data = value.data.clone();
      value.data.data<float>()[7] = -1e6F;  // of the bias: behind the Relu channel 7 is zero
    }
  }
  Graph smooth = graph;
  EXPECT_EQ(smooth_activations(smooth, analyze(graph, data), {.share = 0.5}, kAllEight).size(), 1U);
  EXPECT_GT(testing::output_sqnr(graph, smooth, data), 110);
}

}  // namespace
}  // namespace nibble
