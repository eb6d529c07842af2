// Operators whose defaults or words changed keep their meaning when the opset rises.
#include "onnx/raise_opset.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/graph.h"
#include "nibble/runtime.h"

namespace nibble {
namespace {

// One node with this attribute (none if it has no name), raised to `to`.
Attributes raised(const std::string& op, const std::string& name, const std::string& text, int from,
                  int to) {
  Graph graph;
  graph.opsets[""] = from;
  graph.inputs = {graph.add_value("x", {}), graph.add_value("g", {})};
  graph.outputs = {graph.add_value("y", {})};
  Node node{.op = op, .name = "n", .inputs = graph.inputs, .outputs = graph.outputs};
  if (!name.empty()) node.attributes.set(name, text);
  graph.add_node(std::move(node));
  raise_opset(graph, to);
  EXPECT_EQ(graph.opset(), to);
  return graph.node(graph.nodes()[0]).attributes;
}

TEST(raise_opset, grid_sample_takes_the_new_names_of_its_modes) {
  const auto mode = [](const std::string& name, const std::string& text, int from, int to) {
    return raised("GridSample", name, text, from, to).text("mode", "none");
  };
  EXPECT_EQ(mode("mode", "bilinear", 16, 20), "linear");
  EXPECT_EQ(mode("mode", "bicubic", 16, 21), "cubic");
  EXPECT_EQ(mode("mode", "nearest", 16, 21), "nearest");
  EXPECT_EQ(mode("", "", 16, 21), "linear");
  EXPECT_EQ(mode("mode", "bilinear", 16, 19), "bilinear");
  EXPECT_EQ(mode("mode", "cubic", 20, 21), "cubic");
}

TEST(raise_opset, roi_align_keeps_its_old_default) {
  const char* mode = "coordinate_transformation_mode";
  EXPECT_EQ(raised("RoiAlign", "", "", 10, 16).text(mode, "none"), "output_half_pixel");
  EXPECT_EQ(raised("RoiAlign", "", "", 10, 15).text(mode, "none"), "none");
  EXPECT_EQ(raised("RoiAlign", "", "", 16, 21).text(mode, "none"), "none");
}

TEST(raise_opset, a_mode_of_resize_that_is_gone_stops_the_rise) {
  const char* mode = "coordinate_transformation_mode";
  EXPECT_THROW(raised("Resize", mode, "tf_half_pixel_for_nn", 11, 13), Error);
  EXPECT_EQ(raised("Resize", mode, "tf_half_pixel_for_nn", 11, 12).text(mode, "none"),
            "tf_half_pixel_for_nn");
  EXPECT_EQ(raised("Resize", mode, "asymmetric", 11, 21).text(mode, "none"), "asymmetric");
}

// ---- The same results at opset 21 ----

struct OldNode {
  std::string op;
  int opset;
  std::vector<std::pair<std::string, Attribute>> attributes;
  std::vector<Tensor> constants = {};  // inputs behind the first
  Shape shape = {1, 4, 4, 3};
};

std::vector<float> results(const Graph& graph) {
  Program program = compile(graph, {});
  Tensor x(DType::f32, graph.value(graph.inputs[0]).type.shape);
  for (size_t i = 0; i < static_cast<size_t>(x.elements()); ++i) {
    x.data<float>()[i] = static_cast<float>(i * 7 % 11) - 5;
  }
  const std::vector<Tensor> inputs = {x};
  const Tensor y = program.run(inputs)[0];
  return {y.data<float>().begin(), y.data<float>().end()};
}

Graph graph_of(const OldNode& old) {
  Graph graph;
  graph.opsets[""] = old.opset;
  graph.inputs = {graph.add_value("x", {.dtype = DType::f32, .shape = old.shape})};
  graph.outputs = {graph.add_value("y", {})};
  Node node{.op = old.op, .name = "n", .inputs = graph.inputs, .outputs = graph.outputs};
  for (size_t i = 0; i < old.constants.size(); ++i) {
    node.inputs.push_back(graph.add_constant("c" + std::to_string(i), old.constants[i]));
  }
  for (const auto& [name, value] : old.attributes) node.attributes.set(name, value);
  graph.add_node(std::move(node));
  return graph;
}

class raised_node : public ::testing::TestWithParam<OldNode> {};

TEST_P(raised_node, computes_the_same) {
  Graph graph = graph_of(GetParam());
  const std::vector<float> before = results(graph);
  raise_opset(graph, 21);
  graph.validate();
  EXPECT_EQ(graph.opset(), 21);
  EXPECT_EQ(results(graph), before) << to_text(graph);
}

Attribute text(const char* value) { return std::string(value); }
Tensor scales(std::initializer_list<float> values) { return Tensor::of<float>({4}, values); }

INSTANTIATE_TEST_SUITE_P(
    walk, raised_node,
    ::testing::Values(
        OldNode{"Upsample", 7, {{"scales", std::vector<float>{1, 1, 2, 3}}}},
        OldNode{
            "Upsample", 8, {{"scales", std::vector<float>{1, 1, 2, 3}}, {"mode", text("linear")}}},
        OldNode{"Upsample", 9, {{"mode", text("nearest")}}, {scales({1, 1, 2.5F, 2})}},
        OldNode{"Resize", 10, {{"mode", text("nearest")}}, {scales({1, 1, 2, 3})}},
        OldNode{"Resize", 10, {{"mode", text("nearest")}}, {scales({1, 1, 0.6F, 0.5F})}},
        OldNode{"Resize", 10, {{"mode", text("linear")}}, {scales({1, 1, 0.5F, 3})}},
        OldNode{"Resize",
                11,
                {{"mode", text("nearest")},
                 {"nearest_mode", text("floor")},
                 {"coordinate_transformation_mode", text("tf_half_pixel_for_nn")}},
                {Tensor::of<float>({0}, {}), scales({1, 1, 0.6F, 2})}},
        OldNode{"Softmax", 11, {{"axis", int64_t{2}}}}, OldNode{"Softmax", 11, {}},
        OldNode{"Softmax", 11, {{"axis", int64_t{3}}}},
        OldNode{"LogSoftmax", 7, {{"axis", int64_t{1}}}},
        OldNode{"Hardmax", 11, {{"axis", int64_t{1}}}},
        OldNode{"DFT", 17, {{"axis", int64_t{2}}, {"onesided", int64_t{1}}}, {}, {2, 3, 4, 1}},
        OldNode{"DFT", 18, {}, {}, {2, 5, 1}},
        OldNode{"GroupNormalization",
                18,
                {{"num_groups", int64_t{2}}},
                {Tensor::of<float>({2}, {2, 3}), Tensor::of<float>({2}, {-1, 1})}}));

TEST(raise_opset, shrinking_one_axis_and_growing_another_has_no_name) {
  Graph graph = graph_of({"Resize", 10, {{"mode", text("nearest")}}, {scales({1, 1, 0.5F, 2})}});
  EXPECT_THROW(raise_opset(graph, 11), Error);
}

}  // namespace
}  // namespace nibble
