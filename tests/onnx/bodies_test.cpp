// Writing models whose nodes have bodies: each name is used once, newer opsets reach the bodies,
// and captured values may be quantized.
#include <gtest/gtest.h>

#include <map>

#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "onnx/model_builder.h"
#include "onnx/sample_models.h"

namespace nibble {
namespace {

using testing::ModelBuilder;
using testing::with_branches;

// How often each value is defined, in the graph and all bodies.
void count_names(const onnx::GraphProto& graph, std::map<std::string, int>& names) {
  for (const auto& input : graph.input()) ++names[input.name()];
  for (const auto& tensor : graph.initializer()) ++names[tensor.name()];
  for (const auto& node : graph.node()) {
    for (const auto& output : node.output()) ++names[output];
    for (const auto& attribute : node.attribute()) {
      if (attribute.has_g()) count_names(attribute.g(), names);
    }
  }
}

void expect_names_used_once(const std::string& bytes) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(bytes));
  std::map<std::string, int> names;
  count_names(model.graph(), names);
  for (const auto& [name, count] : names) EXPECT_EQ(count, 1) << name;
}

std::vector<float> run(const Graph& graph, bool positive) {
  Program program = compile(graph, {.arithmetic = Arithmetic::fake_quantize});
  const std::vector<Tensor> inputs = {Tensor::of<float>({2, 4}, {1, 2, 3, 4, -1, 0.5F, 0.25F, -2}),
                                      Tensor::scalar(positive)};
  const Tensor y = program.run(inputs)[0];
  return {y.data<float>().begin(), y.data<float>().end()};
}

Graph quantized(DType storage) {
  Graph graph = parse_onnx(with_branches().bytes());
  Value& weight = graph.value(*graph.find_value("w"));
  const std::vector<int32_t> codes = {1, 2, 3, 4, 5, 6, 7, -7, -6, -5, -4, -3, -2, -1, 0, 1};
  weight.data = pack_integers(storage, {4, 4}, codes);
  weight.type.quant =
      QuantParams{.storage = storage, .qmin = -7, .qmax = 7, .scale = {0.5F}, .zero_point = {0}};
  return graph;
}

TEST(bodies, names_made_up_for_the_outer_graph_are_not_theirs) {
  for (const DType storage : {DType::i8, DType::i4}) {
    const Graph graph = quantized(storage);
    const std::string bytes = serialize_onnx(graph);
    expect_names_used_once(bytes);
    for (const bool positive : {true, false}) {
      EXPECT_EQ(run(parse_onnx(bytes), positive), run(graph, positive));
    }
    // (1 2 3 4) W and (-1 .5 .25 -2) W with W / 2, summed.
    EXPECT_EQ(run(graph, true)[0], 0.5F * (10 + 2 * 11 + 3 * -18 + 4 * -2));
    EXPECT_EQ(run(graph, true)[1], 0.5F * (-10 + 0.5F * 11 + 0.25F * -18 + -2 * -2));
    EXPECT_EQ(run(graph, false)[0], 10.0F);
  }
}

TEST(bodies, are_raised_to_the_opset_that_four_bits_need) {
  onnx::ModelProto model;
  ASSERT_TRUE(model.ParseFromString(serialize_onnx(quantized(DType::i4))));
  EXPECT_EQ(model.opset_import(0).version(), 21);
  for (const auto& node : model.graph().node()) {
    for (const auto& attribute : node.attribute()) {
      if (!attribute.has_g()) continue;
      const onnx::NodeProto& sum = attribute.g().node(attribute.g().node_size() - 1);
      EXPECT_EQ(sum.op_type(), "ReduceSum");
      EXPECT_EQ(sum.input_size(), 2);
      EXPECT_EQ(sum.attribute_size(), 0);
    }
  }
}

TEST(bodies, a_captured_input_may_be_quantized) {
  Graph graph = quantized(DType::i8);
  const ValueId x = *graph.find_value("x");
  graph.value(x).type.quant = QuantParams{
      .storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {0.25F}, .zero_point = {9}};
  const std::string bytes = serialize_onnx(graph);
  expect_names_used_once(bytes);
  const Graph again = parse_onnx(bytes);
  EXPECT_EQ(again.value(again.inputs[0]).name, "x");
  for (const bool positive : {true, false}) EXPECT_EQ(run(again, positive), run(graph, positive));
}

}  // namespace
}  // namespace nibble
