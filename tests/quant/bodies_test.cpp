// Layers in the bodies of If: their weights are quantized, in the file and while running.
#include <gtest/gtest.h>

#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "passes/insert_qdq.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

std::shared_ptr<const Graph> branch(NetworkBuilder& net, const std::string& name) {
  auto graph = std::make_shared<Graph>();
  const ValueId data = graph->add_value("before", {.dtype = DType::f32});
  const ValueId weight = graph->add_constant(name + "_w", net.normal({12, 12}, 0.3));
  graph->outputs = {graph->add_value(name + "_y", {.dtype = DType::f32})};
  graph->add_node(
      {.op = "MatMul", .name = name, .inputs = {data, weight}, .outputs = graph->outputs});
  return graph;
}

// A layer, then one in each branch; which branch runs depends on the sum of the data.
Graph branches() {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  Node sum{.op = "ReduceSum", .name = "sum", .inputs = {x}};
  sum.attributes.set("keepdims", int64_t{0});
  const ValueId total = net.add(std::move(sum));
  const ValueId zero = net.constant("zero", Tensor::scalar(0.0F));
  const ValueId condition =
      net.add({.op = "Greater", .name = "condition", .inputs = {total, zero}});
  net.graph.value(condition).type.dtype = DType::boolean;
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId before = net.add({.op = "MatMul", .name = "before", .inputs = {x, w}});
  Node choose{.op = "If", .name = "if", .inputs = {condition}, .captures = {before}};
  choose.attributes.set("then_branch", branch(net, "then"));
  choose.attributes.set("else_branch", branch(net, "else"));
  net.add(std::move(choose));
  return net.finish();
}

Tensor run(const Graph& graph, const Tensor& x, Arithmetic arithmetic = Arithmetic::integer) {
  return compile(graph, {.arithmetic = arithmetic, .input_shapes = {{"x", x.shape()}}})
      .run(std::span(&x, 1))[0]
      .clone();
}

double worst(const Graph& a, const Graph& b, Arithmetic arithmetic = Arithmetic::integer) {
  double most = 0;
  for (const double mean : {1.0, -1.0}) {  // one branch, then the other
    Random random(4);
    const Tensor x = testing::random_tensor({3, 12}, random, 1, mean);
    most = std::max(most, testing::max_error(run(a, x, arithmetic), run(b, x)));
  }
  return most;
}

TEST(bodies, weights_of_layers_in_branches_are_quantized_in_every_mode) {
  const Graph graph = branches();
  const RangeReport ranges = analyze(graph, Synthetic(32, {12}));
  for (const int bits : {8, 4}) {
    for (const bool dynamic : {false, true}) {
      QuantizeReport report;
      // Without integer activations, whose error would hide that of the weights in branches.
      const Graph small = quantize(graph, ranges, {.fallback = {bits, dynamic ? 8 : 0}},
                                   {.first_and_last_8bit = false, .dynamic = dynamic}, &report);
      EXPECT_EQ(report.quantized_layers, 3);
      EXPECT_TRUE(report.why_not.empty());
      EXPECT_EQ(report.layers.at("if/then_branch/then"), (LayerBits{bits, 0}));
      EXPECT_TRUE(is_quantized(small));
      EXPECT_LE(worst(small, graph), bits == 8 ? 0.06 : 0.9);
      EXPECT_GT(worst(small, graph), 0);
      const std::string bytes = serialize_onnx(small);
      EXPECT_LT(bytes.size(), serialize_onnx(graph).size());
      EXPECT_LE(worst(parse_onnx(bytes), small), 1e-5);
    }
  }
}

TEST(bodies, a_layer_in_a_branch_is_named_by_its_path) {
  const Graph graph = branches();
  const RangeReport ranges = analyze(graph, Synthetic(32, {12}));
  QuantizeReport report;
  quantize(graph, ranges, {.layers = {{"if/else_branch/else", {4, 8}}}},
           {.skip = {"if/then_branch/then"}}, &report);
  EXPECT_EQ(report.layers.at("if/else_branch/else").weight_bits, 4);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "if/then_branch/then");
  EXPECT_EQ(report.why_not[0].reason, "is in the body of the If 'if': it is to be skipped");
  EXPECT_NE(testing::error_of([&] {
              quantize(graph, ranges, {}, {.skip = {"if/then_branch/nope"}});
            }).find("is not a node"),
            std::string::npos);
}

TEST(bodies, the_graph_that_was_given_keeps_its_branches) {
  const Graph graph = branches();
  const std::string before = serialize_onnx(graph);
  quantize(graph, analyze(graph, Synthetic(32, {12})), {});
  EXPECT_EQ(serialize_onnx(graph), before);
}

}  // namespace
}  // namespace nibble
