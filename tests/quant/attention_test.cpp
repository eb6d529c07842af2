// Attention: both of its products of two activations run on codes; what lies between stays real.
#include <gtest/gtest.h>

#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "output_error.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

// softmax(q k^T + mask) v with a causal mask of large numbers.
Graph attention() {
  NetworkBuilder net({-1, 6, 8});
  const ValueId x = net.graph.inputs[0];
  const auto project = [&](const std::string& name) {
    const ValueId w = net.constant(name + "_w", net.normal({8, 8}, 0.5));
    return net.add({.op = "MatMul", .name = name, .inputs = {x, w}});
  };
  const ValueId q = project("q"), k = project("k"), v = project("v");
  Node turn{.op = "Transpose", .name = "turn", .inputs = {k}};
  turn.attributes.set("perm", std::vector<int64_t>{0, 2, 1});
  const ValueId kt = net.add(std::move(turn));
  const ValueId scores = net.add({.op = "MatMul", .name = "scores", .inputs = {q, kt}});
  Tensor mask(DType::f32, {6, 6});
  for (size_t i = 0; i < 36; ++i) mask.data<float>()[i] = i % 6 > i / 6 ? -1e9F : 0.0F;
  const ValueId masked = net.add(
      {.op = "Add", .name = "masked", .inputs = {scores, net.constant("mask", std::move(mask))}});
  const ValueId shares = net.add({.op = "Softmax", .name = "softmax", .inputs = {masked}});
  const ValueId mixed = net.add({.op = "MatMul", .name = "mixed", .inputs = {shares, v}});
  const ValueId w = net.constant("out_w", net.normal({8, 4}, 0.5));
  net.add({.op = "MatMul", .name = "out", .inputs = {mixed, w}});
  return net.finish();
}

Graph quantized(const Graph& graph, QuantizeReport* report = nullptr, const BitPlan& bits = {},
                const QuantizeOptions& options = {}) {
  return quantize(graph, analyze(graph, Synthetic(64, {6, 8})), bits, options, report);
}

bool is_quantized(const Graph& graph, const std::string& name) {
  return graph.value(*graph.find_value(name)).type.quant.has_value();
}

TEST(attention, both_products_read_codes_and_the_mask_stays_real) {
  const Graph graph = attention();
  QuantizeReport report;
  const Graph small = quantized(graph, &report);
  EXPECT_EQ(report.quantized_layers, 6);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "masked");
  for (const char* name : {"q", "turn", "softmax", "v", "mixed"}) {
    EXPECT_TRUE(is_quantized(small, name)) << name;
  }
  for (const char* name : {"scores", "masked", "mask"}) {
    EXPECT_FALSE(is_quantized(small, name)) << name;
  }
  EXPECT_GT(testing::output_sqnr(graph, small, Synthetic(16, {6, 8})), 26);  // of pair-safe weights
}

TEST(attention, runs_as_integers_with_the_same_bits_as_read_back_from_a_file) {
  const Graph small = quantized(attention());
  const Graph back = parse_onnx(serialize_onnx(small));
  const Tensor x = testing::random_tensor({2, 6, 8}, 5);
  const CompileOptions options{.input_shapes = {{"x", {2, 6, 8}}}};
  Program program = compile(small, options);
  int fused = 0, products = 0;
  for (const StepProfile& step : program.profile()) {
    fused += step.kernel.starts_with("attention") ? 1 : 0;
    products += step.kernel.starts_with("product u8u8") ? 1 : 0;
  }
  EXPECT_EQ(fused, 1);
  EXPECT_EQ(products, 0);
  const Tensor first = program.run(std::span(&x, 1))[0].clone();
  const Tensor second = compile(back, options).run(std::span(&x, 1))[0].clone();
  EXPECT_TRUE(testing::same_bytes(first, second));
  CompileOptions rounded = options;
  rounded.arithmetic = Arithmetic::fake_quantize;
  EXPECT_LE(testing::max_error(first, compile(small, rounded).run(std::span(&x, 1))[0]), 0.05);
}

TEST(attention, products_that_stay_in_float_say_why) {
  const auto reason = [&](const BitPlan& bits, const QuantizeOptions& options) {
    QuantizeReport report;
    quantized(attention(), &report, bits, options);
    for (const auto& skipped : report.why_not) {
      if (skipped.node == "scores") return skipped.reason;
    }
    return std::string();
  };
  EXPECT_EQ(reason({}, {}), "");
  EXPECT_EQ(reason({}, {.skip = {"scores"}}), "it is to be skipped");
  EXPECT_EQ(reason({.fallback = {8, 0}}, {}), "multiplies two activations, which stay in float");
  EXPECT_NE(reason({}, {.dynamic = true}).find("dynamic"), std::string::npos);
  EXPECT_EQ(reason({.layers = {{"scores", {0, 8}}}}, {}), "the bit plan leaves it in float");
}

}  // namespace
}  // namespace nibble
