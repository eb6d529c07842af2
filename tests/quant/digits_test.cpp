// From data to integers on the embedded digits. The network needs no training: random filters, then
// the nearest class mean, which is a linear layer.
#include <gtest/gtest.h>

#include <algorithm>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/networks.h"

namespace nibble {
namespace {

constexpr int64_t kFeatures = 16 * 4 * 4;

testing::NetworkBuilder feature_network() {
  testing::NetworkBuilder net({-1, 1, 8, 8}, 7);
  net.relu("relu", net.conv("conv", net.last, 1, 16));
  Node pool{.op = "MaxPool", .name = "pool", .inputs = {net.last}};
  pool.attributes.set("kernel_shape", std::vector<int64_t>{2, 2});
  pool.attributes.set("strides", std::vector<int64_t>{2, 2});
  net.add(std::move(pool));
  net.add({.op = "Flatten", .name = "features", .inputs = {net.last}});
  return net;
}

Tensor run_all(const Graph& graph, const Dataset& data) {
  Program program = compile(graph, {.input_shapes = {{"x", {data.size(), 1, 8, 8}}}});
  const Tensor batch = read_batch(data, 0, data.size(), 1)[0];
  return program.run(std::span(&batch, 1))[0].clone();
}

// logits_c = features . mean_c - |mean_c|^2 / 2.
Graph digits_network(const Dataset& training) {
  testing::NetworkBuilder net = feature_network();
  const Tensor features = run_all(net.finish(), training);
  Tensor means(DType::f32, {10, kFeatures}), offset(DType::f32, {10});
  std::vector<float> counts(10, 0);
  for (int64_t i = 0; i < training.size(); ++i) counts[static_cast<size_t>(training.label(i))] += 1;
  const std::span<float> mean = means.data<float>();
  for (int64_t i = 0; i < training.size(); ++i) {
    const int64_t c = training.label(i);
    for (int64_t k = 0; k < kFeatures; ++k) {
      mean[static_cast<size_t>(c * kFeatures + k)] +=
          features.data<float>()[static_cast<size_t>(i * kFeatures + k)] /
          counts[static_cast<size_t>(c)];
    }
  }
  for (size_t i = 0; i < mean.size(); ++i) {
    offset.data<float>()[i / kFeatures] -= 0.5F * mean[i] * mean[i];
  }
  Node linear{.op = "Gemm", .name = "linear"};
  linear.inputs = {net.last, net.constant("means", means), net.constant("offset", offset)};
  linear.attributes.set("transB", int64_t{1});
  net.add(std::move(linear));
  return net.finish();
}

double accuracy(const Graph& graph, const Dataset& data) {
  const Tensor logits = run_all(graph, data);
  int64_t right = 0;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto row = logits.data<float>().subspan(static_cast<size_t>(10 * i), 10);
    right += std::ranges::max_element(row) - row.begin() == data.label(i) ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(data.size());
}

TEST(digits, keep_their_accuracy_when_quantized) {
  const auto training = open_dataset("digits", {.split = Split::train});
  const auto test = open_dataset("digits", {.split = Split::test});
  const Graph graph = digits_network(*training);
  const double real = accuracy(graph, *test);
  EXPECT_GT(real, 0.85);
  const RangeReport ranges = analyze(graph, *training);
  const QuantizeOptions all_layers{.first_and_last_8bit = false};
  const auto quantized = [&](LayerBits bits) {
    return accuracy(quantize(graph, ranges, {.fallback = bits, .layers = {}}, all_layers), *test);
  };
  EXPECT_NEAR(quantized({8, 8}), real, 0.01);
  EXPECT_NEAR(quantized({4, 8}), real, 0.03);
  EXPECT_NEAR(quantized({4, 4}), real, 0.05);
}

TEST(digits, pooling_and_flatten_move_the_codes_of_relu) {
  const auto training = open_dataset("digits", {.split = Split::train});
  const Graph graph = digits_network(*training);
  const Graph q = quantize(graph, analyze(graph, *training), {.fallback = {8, 8}, .layers = {}});
  const auto quant = [&](const char* name) { return q.value(*q.find_value(name)).type.quant; };
  ASSERT_TRUE(quant("relu"));
  EXPECT_EQ(quant("relu"), quant("pool"));
  EXPECT_EQ(quant("relu"), quant("features"));
}

}  // namespace
}  // namespace nibble
