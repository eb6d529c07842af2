#include "nibble/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "quant/quantized.h"
#include "ranges/observer.h"
#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::NetworkBuilder;
using testing::output_sqnr;
using testing::outputs;
using testing::quantized;
using testing::Synthetic;
using testing::value_named;

TEST(quantize, error_falls_with_every_bit) {
  const Graph graph = testing::residual();
  double last = 0;
  for (const int bits : {2, 3, 4, 6, 8}) {
    const double sqnr = output_sqnr(graph, quantized(graph, {bits, 8}));
    EXPECT_GT(sqnr, last) << bits;
    last = sqnr;
  }
  EXPECT_GT(last, 30);
  EXPECT_GT(output_sqnr(graph, quantized(graph, {16, 16})), 70);
}

TEST(quantize, blocks_are_better_than_channels) {
  const Graph graph = testing::perceptron(12, 64);
  const Tensor real = value_named(graph, "fc2_w").data;
  const auto error = [&](int64_t block) {
    const Graph result =
        quantize(graph, analyze(graph, Synthetic(64, {12})), {.fallback = {4, 0}, .layers = {}},
                 {.weight_block_size = block, .first_and_last_8bit = false});
    const Value& weight = value_named(result, "fc2_w");
    return squared_error(real, weight.data, *weight.type.quant);
  };
  EXPECT_LT(error(32), error(0));
  EXPECT_LT(error(8), 0.7 * error(0));
}

TEST(quantize, blocks_are_refused_where_every_layer_runs_as_integers) {
  const Graph graph = testing::perceptron(12, 64);
  const RangeReport ranges = analyze(graph, Synthetic(16, {12}));
  const QuantizeOptions blocks{.weight_block_size = 8};
  const auto all = [&] { quantize(graph, ranges, {.fallback = {4, 8}, .layers = {}}, blocks); };
  EXPECT_NE(error_of(all).find("blocks of 8"), std::string::npos) << error_of(all);
  QuantizeReport report;
  const BitPlan mixed{.fallback = {4, 8}, .layers = {{"fc2", {4, 0}}}};
  const Graph result = quantize(graph, ranges, mixed, blocks, &report);
  EXPECT_EQ(value_named(result, "fc2_w").type.quant->granularity, Granularity::per_block);
  EXPECT_EQ(value_named(result, "fc1_w").type.quant->granularity, Granularity::per_channel);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_EQ(report.notes[0].substr(0, 11), "1 of 2 laye");
}

TEST(quantize, bias_correction_removes_the_mean_error) {
  const Graph graph = testing::perceptron();
  const Synthetic rows(256, {12});
  const RangeReport ranges = analyze(graph, rows);
  const auto mean_error = [&](bool correct) {
    const Graph result = quantize(graph, ranges, {.fallback = {2, 0}, .layers = {}},
                                  {.first_and_last_8bit = false, .bias_correction = correct});
    // fc1 alone: what its rounding shifts.
    Graph first = graph, second = result;
    first.outputs = {*first.find_value("fc1")};
    second.outputs = {*second.find_value("fc1")};
    const std::vector<float> a = outputs(first, rows), b = outputs(second, rows);
    std::vector<double> shift(16, 0);
    for (size_t i = 0; i < a.size(); ++i) shift[i % 16] += static_cast<double>(b[i]) - a[i];
    double worst = 0;
    for (const double s : shift) worst = std::max(worst, std::abs(s) / 256);
    return worst;
  };
  EXPECT_LT(mean_error(true), 1e-4);
  EXPECT_GT(mean_error(false), 1e-2);
}

TEST(quantize, a_channel_without_weights_keeps_its_bias) {
  Graph graph = testing::three_convs();
  const std::span<float> weight = graph.value(*graph.find_value("conv2_w")).data.data<float>();
  std::fill_n(weight.begin(), 8 * 9, 0.0F);
  const std::span<float> bias = graph.value(*graph.find_value("conv2_b")).data.data<float>();
  bias[0] = 0.123456F;
  const Graph result = quantized(graph, {8, 8});
  const Value& codes = value_named(result, "conv2_b");
  EXPECT_NEAR(dequantize_tensor(codes.data, *codes.type.quant).data<float>()[0], 0.123456F, 1e-7);
}

TEST(quantize, a_tensor_that_is_all_zero_stays_zero) {
  Graph graph = testing::three_convs();
  for (const char* name : {"conv2_w", "conv2_b"}) {
    std::ranges::fill(graph.value(*graph.find_value(name)).data.data<float>(), 0.0F);
  }
  const Graph result = quantized(graph, {8, 8});
  const Value& weight = value_named(result, "conv2_w");
  for (const float scale : weight.type.quant->scale) EXPECT_EQ(scale, 1.0F);
  // What is left is conv3's bias.
  EXPECT_EQ(value_named(result, "relu2").type.quant->zero_point[0], 0);
  EXPECT_GT(output_sqnr(graph, result), 100);
}

// x W1 + b1, Relu, W2 + b2, with data, weights and biases of such sizes.
double sqnr_of_size(double data, double second_weight, double bias, QuantizeOptions options = {}) {
  Graph graph = testing::perceptron();
  const auto scale = [&](const char* name, double by) {
    for (float& x : graph.value(*graph.find_value(name)).data.data<float>()) {
      x = static_cast<float>(x * by);
    }
  };
  scale("fc1_b", data);
  scale("fc2_w", second_weight);
  scale("fc2_b", bias);
  const testing::Scaled rows({64, {12}}, data);
  const Graph result =
      quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}}, options);
  return testing::output_sqnr(graph, result, rows);
}

TEST(quantize, tiny_and_huge_values_are_as_exact_as_others) {
  for (const std::string target : {"onnxruntime", "tensorrt"}) {
    for (const std::string observer : {"min-max", "mse", "percentile"}) {
      const QuantizeOptions options{
          .weight_observer = observer, .activation_observer = observer, .target = target};
      const double usual = sqnr_of_size(1, 1, 1, options);
      EXPECT_GT(usual, 30);
      for (const double size : {1e-15, 1e-17, 1e-18, 1e-22, 1e18, 1e30}) {
        EXPECT_GT(sqnr_of_size(size, 1, size, options), usual - 3) << observer << " " << size;
      }
      EXPECT_GT(sqnr_of_size(1e18, 1e-18, 1, options), usual - 3) << observer;
      EXPECT_GT(sqnr_of_size(1e-18, 1e18, 1, options), usual - 3) << observer;
    }
  }
}

// Scales whose product is no normal float: the result may be coarse, not wrong.
TEST(quantize, products_at_the_end_of_the_floats_stay_finite) {
  Graph graph = testing::perceptron();
  for (float& w : graph.value(*graph.find_value("fc2_w")).data.data<float>()) w *= 1e-30F;
  for (float& b : graph.value(*graph.find_value("fc2_b")).data.data<float>()) b = 0;
  for (float& b : graph.value(*graph.find_value("fc1_b")).data.data<float>()) b *= 1e-12F;
  const testing::Scaled rows({64, {12}}, 1e-12);
  const Graph result = quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}});
  for (const float y : outputs(result, rows)) EXPECT_LT(std::abs(y), 1e-36F);
  for (const float scale : value_named(result, "fc2_b").type.quant->scale) {
    EXPECT_GE(scale, std::numeric_limits<float>::min());
  }
}

TEST(quantize, a_dead_input_keeps_the_biases_behind_it) {
  for (const double bias : {1e3, 1.0, 1e-3, 1e-9}) {
    Graph graph = testing::perceptron();
    for (float& b : graph.value(*graph.find_value("fc1_b")).data.data<float>()) b = -100;
    for (float& b : graph.value(*graph.find_value("fc2_b")).data.data<float>()) {
      b = static_cast<float>(b * bias);
    }
    const Synthetic rows(64, {12});
    const Graph result = quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}});
    EXPECT_GT(testing::output_sqnr(graph, result, rows), 80) << bias;
  }
}

TEST(quantize, a_huge_bias_widens_the_weight_scale) {
  Graph graph = testing::three_convs();
  graph.value(*graph.find_value("conv2_b")).data.data<float>()[3] = 1e7F;
  const std::span<float> weight = graph.value(*graph.find_value("conv2_w")).data.data<float>();
  for (size_t i = 3 * 72; i < 4 * 72; ++i) weight[i] *= 1e-4F;
  const Graph result = quantized(graph, {8, 8});
  const Value& bias = value_named(result, "conv2_b");
  EXPECT_NEAR(dequantize_tensor(bias.data, *bias.type.quant).data<float>()[3], 1e7F, 1e3);
}

TEST(quantize, accumulators_fit_int32_for_any_data) {
  constexpr int64_t kInputs = 200000;  // 127 * 255 * 200,000 exceeds int32
  NetworkBuilder net({-1, kInputs});
  Tensor weight = net.normal({kInputs, 2}, 0.01);
  for (int64_t i = 0; i < kInputs; ++i) weight.data<float>()[static_cast<size_t>(2 * i)] = 0.5F;
  const ValueId w = net.constant("w", weight);
  const ValueId b = net.constant("b", Tensor::of<float>({2}, {1.0F, -1.0F}));
  net.add({.op = "Gemm", .name = "fc", .inputs = {net.last, w, b}});
  const Graph graph = net.finish();
  const Graph result =
      quantize(graph, analyze(graph, Synthetic(2, {kInputs})), {.fallback = {8, 8}, .layers = {}});
  const std::vector<int32_t> codes = unpack_integers(value_named(result, "w").data);
  const std::vector<int32_t> bias = unpack_integers(value_named(result, "b").data);
  const QuantParams& data = *value_named(result, "x").type.quant;
  const int64_t reach = std::max(data.zero_point[0], 255 - data.zero_point[0]);
  for (size_t c = 0; c < 2; ++c) {
    int64_t sum = std::abs(int64_t{bias[c]});
    for (size_t i = 0; i < static_cast<size_t>(kInputs); ++i) {
      sum += std::abs(int64_t{codes[2 * i + c]}) * reach;
    }
    EXPECT_LE(sum, std::numeric_limits<int32_t>::max());
    EXPECT_GT(sum, std::numeric_limits<int32_t>::max() / 8);  // not wasteful
  }
}

}  // namespace
}  // namespace nibble
