// What only the file knows stays with the values it is said of while passes edit the graph.
#include <gtest/gtest.h>

#include "nibble/onnx.h"
#include "onnx/model_builder.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::ModelBuilder;

onnx::ModelProto written(const Graph& graph) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(serialize_onnx(graph)));
  return proto;
}

TEST(notes, what_is_said_of_an_output_stays_with_it_when_another_value_takes_its_place) {
  ModelBuilder b;
  b.input("x", {2});
  b.node("Relu", {"x"}, {"hidden"}).set_doc_string("cuts off");
  b.node("Identity", {"hidden"}, {"y"});
  ModelBuilder::set_type(*b.graph().add_value_info(), "hidden", {2});
  b.graph().mutable_value_info(0)->set_doc_string("about the hidden value");
  b.output("y", {2});
  b.graph().mutable_output(0)->set_doc_string("about the result");
  Graph graph = parse_onnx(b.bytes());
  ASSERT_EQ(eliminate_identities(graph), 1);
  const onnx::GraphProto proto = written(graph).graph();
  ASSERT_EQ(proto.node_size(), 1);
  EXPECT_EQ(proto.node(0).output(0), "y");
  EXPECT_EQ(proto.node(0).doc_string(), "cuts off");
  EXPECT_EQ(proto.output(0).name(), "y");
  EXPECT_EQ(proto.output(0).doc_string(), "about the result");
  EXPECT_EQ(proto.value_info_size(), 0);
}

TEST(notes, what_is_said_of_a_weight_follows_its_codes_into_a_type_and_back) {
  ModelBuilder b;
  b.input("x", {1, 2});
  onnx::TensorProto& codes = b.floats("codes", {2, 2}, {});
  codes.set_data_type(onnx::TensorProto::INT8);
  codes.set_doc_string("trained on a Tuesday");
  for (const int code : {100, 2, 3, 4}) codes.add_int32_data(code);
  b.floats("scale", {}, {0.5F});
  b.node("DequantizeLinear", {"codes", "scale"}, {"w"});
  b.node("MatMul", {"x", "w"}, {"y"});
  b.output("y", {1, 2});
  const Graph graph = parse_onnx(b.bytes());
  ASSERT_TRUE(graph.value(*graph.find_value("w")).type.quant);
  int said = 0;
  const onnx::ModelProto model = written(graph);
  for (const auto& tensor : model.graph().initializer()) {
    if (tensor.doc_string().empty()) continue;
    EXPECT_EQ(tensor.data_type(), onnx::TensorProto::INT8);
    EXPECT_EQ(tensor.doc_string(), "trained on a Tuesday");
    ++said;
  }
  EXPECT_EQ(said, 1);
}

TEST(notes, a_constant_that_was_an_input_is_none_once_the_file_is_rewritten) {
  ModelBuilder b(17, 8);
  b.input("x", {1, 2});
  b.input("w", {2, 2});
  b.floats("w", {2, 2}, {1, 2, 3, 4});
  b.node("MatMul", {"x", "w"}, {"y"});
  b.output("y", {1, 2});
  Graph graph = parse_onnx(b.bytes());
  EXPECT_EQ(written(graph).graph().input_size(), 2);
  Value& weight = graph.value(*graph.find_value("w"));
  weight.data = pack_integers(DType::i8, {2, 2}, std::vector<int32_t>{1, 2, 3, 4});
  weight.type.quant = QuantParams{.storage = DType::i8, .scale = {1}, .zero_point = {0}};
  EXPECT_EQ(written(graph).graph().input_size(), 1);
}

TEST(notes, a_graph_that_came_from_no_file_says_who_made_it_and_what_its_opset_needs) {
  Graph graph;
  graph.opsets[""] = 13;
  graph.inputs = {graph.add_value("x", {.dtype = DType::f32, .shape = {1}, .quant = {}})};
  const ValueId y = graph.add_value("y", {.dtype = DType::f32, .shape = {1}, .quant = {}});
  graph.add_node({.op = "Relu", .name = "relu", .inputs = graph.inputs, .outputs = {y}});
  graph.outputs = {y};
  EXPECT_EQ(onnx_origin(graph).producer, "nibble");
  EXPECT_EQ(onnx_origin(graph).ir_version, 7);
  EXPECT_EQ(written(graph).producer_name(), "nibble");
  EXPECT_EQ(written(graph).ir_version(), 7);
}

}  // namespace
}  // namespace nibble
