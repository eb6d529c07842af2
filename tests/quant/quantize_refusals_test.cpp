// What quantize() refuses, and what it leaves out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "quant/quantized.h"
#include "ranges/observer.h"
#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::is_quantized;
using testing::NetworkBuilder;
using testing::output_sqnr;
using testing::quantized;
using testing::ranges_of;
using testing::Synthetic;
using testing::value_named;

TEST(quantize, refuses_nan_weights_naming_the_node) {
  Graph graph = testing::three_convs();
  const RangeReport ranges = ranges_of(graph);
  graph.value(*graph.find_value("conv2_w")).data.data<float>()[5] = std::nanf("");
  const std::string message = error_of([&] {
    quantize(graph, ranges, {.fallback = {8, 8}, .layers = {}});
  });
  EXPECT_NE(message.find("node 'conv2' (Conv)"), std::string::npos) << message;
  EXPECT_NE(message.find("element 5 of 'conv2_w' is NaN"), std::string::npos) << message;
}

TEST(quantize, refuses_ranges_of_another_model) {
  const Graph other = testing::perceptron();
  const RangeReport ranges = analyze(other, Synthetic(4, {12}));
  EXPECT_NE(error_of([&] {
              quantize(testing::residual(), ranges, {.fallback = {8, 8}, .layers = {}});
            }).find("was made from another model"),
            std::string::npos);
}

TEST(quantize, refuses_names_and_bits_that_make_no_sense) {
  const Graph graph = testing::three_convs();
  const RangeReport ranges = ranges_of(graph);
  EXPECT_NE(error_of([&] {
              quantize(graph, ranges, {.layers = {{"conv9", {4, 8}}}});
            }).find("'conv9', which is not a node"),
            std::string::npos);
  EXPECT_NE(error_of([&] { quantize(graph, ranges, {}, {.skip = {"nope"}}); }).find("'nope'"),
            std::string::npos);
  for (const LayerBits bits :
       {LayerBits{1, 8}, LayerBits{9, 8}, LayerBits{8, 1}, LayerBits{8, 32}}) {
    EXPECT_THROW(quantize(graph, ranges, {.fallback = bits, .layers = {}}), Error);
  }
}

TEST(quantize, reports_why_layers_stay_in_float) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId product = net.add({.op = "MatMul", .name = "plain", .inputs = {net.last, w}});
  const ValueId gram = net.add({.op = "MatMul", .name = "gram", .inputs = {product, product}});
  net.add({.op = "MatMul", .name = "skipped", .inputs = {gram, w}});
  const Graph graph = net.finish();
  QuantizeReport report;
  const RangeReport ranges = analyze(graph, Synthetic(24, {12}), {.batch = 12});
  const Graph result =
      quantize(graph, ranges, {.fallback = {8, 8}, .layers = {}}, {.skip = {"skipped"}}, &report);
  EXPECT_EQ(report.quantized_layers, 2);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "skipped");
  // The weight is shared: the float layer keeps its own.
  EXPECT_FALSE(is_quantized(result, "w"));
  EXPECT_TRUE(is_quantized(result, "w_1"));
}

TEST(quantize, a_plan_may_leave_a_layer_in_float) {
  const Graph graph = testing::three_convs();
  QuantizeReport report;
  const Graph result =
      quantize(graph, ranges_of(graph), {.layers = {{"conv2", {0, 0}}}}, {}, &report);
  EXPECT_EQ(report.quantized_layers, 2);
  EXPECT_FALSE(is_quantized(result, "conv2_w"));
  EXPECT_FALSE(is_quantized(result, "relu1"));
  EXPECT_TRUE(is_quantized(result, "relu2"));
}

TEST(quantize, an_already_quantized_graph_can_be_quantized_again) {
  const Graph graph = testing::residual();
  const Graph once = quantized(graph, {8, 8});
  const Graph twice = quantize(once, ranges_of(graph), {.fallback = {4, 8}, .layers = {}});
  EXPECT_EQ(value_named(twice, "conv2_w").type.quant->bits(), 4);
  EXPECT_GT(output_sqnr(graph, twice), 10);
}

}  // namespace
}  // namespace nibble
