// Functions that a model defines for itself are inlined when it is read.
#include <gtest/gtest.h>

#include <set>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "onnx/model_builder.h"

namespace nibble {
namespace {

using testing::ModelBuilder;

struct FunctionBuilder {
  onnx::FunctionProto& proto;

  FunctionBuilder(ModelBuilder& b, const std::string& name, const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs, int64_t opset = 17)
      : proto(*b.model.add_functions()) {
    proto.set_domain("my");
    proto.set_name(name);
    for (const std::string& input : inputs) proto.add_input(input);
    for (const std::string& output : outputs) proto.add_output(output);
    proto.add_opset_import()->set_version(opset);
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs) {
    onnx::NodeProto& node = *proto.add_node();
    node.set_op_type(op);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    return node;
  }
};

onnx::NodeProto& call(ModelBuilder& b, const std::string& function,
                      const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs) {
  onnx::NodeProto& node = b.node(function, inputs, outputs);
  node.set_domain("my");
  return node;
}

ModelBuilder model(int64_t opset = 17) {
  ModelBuilder b(opset);
  auto& import = *b.model.add_opset_import();
  import.set_domain("my");
  import.set_version(1);
  b.input("x", {2});
  b.output("y", {2});
  return b;
}

void refer(onnx::NodeProto& node, const std::string& name, const std::string& to,
           onnx::AttributeProto::AttributeType type) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_ref_attr_name(to);
  attribute.set_type(type);
}

std::vector<float> run(const Graph& graph, std::vector<float> x) {
  Program program = compile(graph, {});
  const std::vector<Tensor> inputs = {Tensor::of<float>({2}, std::span<const float>(x))};
  const Tensor y = program.run(inputs)[0];
  return {y.data<float>().begin(), y.data<float>().end()};
}

std::string error_of(const ModelBuilder& b) {
  try {
    parse_onnx(b.bytes());
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(functions, attributes_come_from_the_call_the_default_or_nowhere) {
  ModelBuilder b = model();
  FunctionBuilder leak(b, "Leak", {"a"}, {"b"});
  leak.proto.add_attribute("slope");
  refer(leak.node("LeakyRelu", {"a"}, {"b"}), "alpha", "slope", onnx::AttributeProto::FLOAT);
  onnx::AttributeProto given;
  given.set_name("slope");
  given.set_type(onnx::AttributeProto::FLOAT);
  given.set_f(0.5F);
  *call(b, "Leak", {"x"}, {"t"}).add_attribute() = given;
  call(b, "Leak", {"t"}, {"y"});
  EXPECT_EQ(run(parse_onnx(b.bytes()), {-4, 1}), (std::vector<float>{-0.02F, 1}));
  // Field 11, attribute_proto: defaults, which the installed schema may not know.
  given.set_f(0.25F);
  const std::string value = given.SerializeAsString();
  std::string bytes = leak.proto.SerializeAsString();
  bytes += std::string("\x5a", 1) + static_cast<char>(value.size()) + value;
  ASSERT_TRUE(leak.proto.ParseFromString(bytes));
  EXPECT_EQ(run(parse_onnx(b.bytes()), {-4, 1}), (std::vector<float>{-0.5F, 1}));
}

// Inner names stand in the graph, too, and each function is called twice.
TEST(functions, nested_calls_get_names_of_their_own) {
  ModelBuilder b = model();
  FunctionBuilder twice(b, "Twice", {"x"}, {"y"});
  twice.node("Add", {"x", "x"}, {"t"});
  twice.node("Relu", {"t"}, {"y"});
  FunctionBuilder four(b, "Four", {"y"}, {"x"});
  four.node("Twice", {"y"}, {"t"}).set_domain("my");
  four.node("Twice", {"t"}, {"x"}).set_domain("my");
  call(b, "Four", {"x"}, {"t"}).set_name("first");
  call(b, "Four", {"t"}, {"y"}).set_name("second");
  const Graph graph = parse_onnx(b.bytes());
  EXPECT_EQ(run(graph, {1, -1}), (std::vector<float>{16, 0}));
  EXPECT_EQ(graph.nodes().size(), 8U);
  EXPECT_FALSE(graph.opsets.contains("my"));
  onnx::ModelProto written;
  ASSERT_TRUE(written.ParseFromString(serialize_onnx(graph)));
  EXPECT_EQ(written.functions_size(), 0);
  EXPECT_EQ(run(parse_onnx(serialize_onnx(graph)), {1, -1}), (std::vector<float>{16, 0}));
}

TEST(functions, an_output_that_is_an_input_and_inputs_left_out) {
  ModelBuilder b = model();
  FunctionBuilder same(b, "Same", {"a", "low", "high"}, {"a", "b"});
  same.node("Clip", {"a", "low", "high"}, {"b"});
  b.floats("one", {}, {1});
  call(b, "Same", {"x", "", "one"}, {"copy", "clipped"});
  b.node("Add", {"copy", "clipped"}, {"y"});
  EXPECT_EQ(run(parse_onnx(b.bytes()), {-4, 3}), (std::vector<float>{-8, 4}));
}

// y = c ? x : -x, called twice: values of bodies are named once each.
TEST(functions, bodies_in_functions_are_renamed) {
  ModelBuilder b = model();
  b.floats("zero", {}, {0});
  FunctionBuilder absolute(b, "Abs1", {"v", "limit"}, {"y"});
  absolute.node("ReduceSum", {"v"}, {"s"});
  absolute.node("Greater", {"s", "limit"}, {"c"});
  auto& node = absolute.node("If", {"c"}, {"y"});
  for (const bool positive : {true, false}) {
    auto& attribute = *node.add_attribute();
    attribute.set_name(positive ? "then_branch" : "else_branch");
    attribute.set_type(onnx::AttributeProto::GRAPH);
    auto& body = *attribute.mutable_g();
    body.set_name("body");
    auto& inner = *body.add_node();
    inner.set_op_type(positive ? "Identity" : "Neg");
    inner.add_input("v");
    inner.add_output("r");
    body.add_output()->set_name("r");
  }
  call(b, "Abs1", {"x", "zero"}, {"s"});
  b.node("Neg", {"s"}, {"n"});
  call(b, "Abs1", {"n", "zero"}, {"y"});
  const Graph graph = parse_onnx(b.bytes());
  EXPECT_EQ(run(graph, {1, 2}), (std::vector<float>{1, 2}));
  EXPECT_EQ(run(graph, {-1, -2}), (std::vector<float>{1, 2}));
  onnx::ModelProto written;
  ASSERT_TRUE(written.ParseFromString(serialize_onnx(graph)));
  std::multiset<std::string> names;
  for (const auto& outer : written.graph().node()) {
    for (const auto& attribute : outer.attribute()) {
      for (const auto& inner : attribute.g().node()) names.insert(inner.output(0));
    }
  }
  EXPECT_EQ(names.size(), 4U);
  for (const std::string& name : names) EXPECT_EQ(names.count(name), 1U) << name;
}

TEST(functions, quantized_values_in_functions_become_types) {
  ModelBuilder b = model();
  b.floats("s", {}, {0.5F});
  onnx::TensorProto& zero = b.floats("z", {}, {});
  zero.set_data_type(2);
  zero.add_int32_data(128);
  FunctionBuilder fake(b, "FakeQuant", {"x", "s", "z"}, {"y"});
  fake.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  fake.node("DequantizeLinear", {"q", "s", "z"}, {"y"});
  call(b, "FakeQuant", {"x", "s", "z"}, {"t"});
  b.node("Relu", {"t"}, {"y"});
  const Graph graph = parse_onnx(b.bytes());
  EXPECT_TRUE(graph.value(graph.inputs[0]).type.quant);
  EXPECT_EQ(run(graph, {0.3F, 1.1F}), (std::vector<float>{0.5F, 1}));
}

// Squeeze takes its axes as an attribute before opset 13.
TEST(functions, a_function_of_an_older_opset_is_raised) {
  ModelBuilder b = model(17);
  FunctionBuilder old(b, "Total", {"x"}, {"y"}, 11);
  auto& axes = *old.node("Unsqueeze", {"x"}, {"u"}).add_attribute();
  axes.set_name("axes");
  axes.set_type(onnx::AttributeProto::INTS);
  axes.add_ints(0);
  auto& sum = old.node("ReduceSum", {"u"}, {"y"});
  *sum.add_attribute() = axes;
  auto& keep = *sum.add_attribute();
  keep.set_name("keepdims");
  keep.set_type(onnx::AttributeProto::INT);
  keep.set_i(0);
  call(b, "Total", {"x"}, {"y"});
  EXPECT_EQ(run(parse_onnx(b.bytes()), {3, 4}), (std::vector<float>{3, 4}));
}

TEST(functions, what_cannot_be_inlined_is_named) {
  ModelBuilder loop = model();
  FunctionBuilder itself(loop, "Itself", {"a"}, {"b"});
  itself.node("Itself", {"a"}, {"b"}).set_domain("my");
  call(loop, "Itself", {"x"}, {"y"});
  EXPECT_NE(error_of(loop).find("calls itself"), std::string::npos) << error_of(loop);

  ModelBuilder newer = model(13);
  FunctionBuilder(newer, "Newer", {"a"}, {"b"}, 17).node("Relu", {"a"}, {"b"});
  call(newer, "Newer", {"x"}, {"y"});
  EXPECT_NE(error_of(newer).find("opset 17, the model of opset 13"), std::string::npos);

  ModelBuilder open = model();
  FunctionBuilder(open, "Open", {"a"}, {"b"}).node("Add", {"a", "x"}, {"b"});
  call(open, "Open", {"x"}, {"y"});
  EXPECT_NE(error_of(open).find("reads 'x', which nothing computes"), std::string::npos);

  ModelBuilder many = model();
  FunctionBuilder(many, "One", {"a"}, {"b"}).node("Relu", {"a"}, {"b"});
  call(many, "One", {"x", "x"}, {"y"});
  EXPECT_NE(error_of(many).find("has 1 inputs"), std::string::npos) << error_of(many);
}

// Each function calls the one before twice: 2^30 nodes.
TEST(functions, a_small_file_does_not_become_a_huge_graph) {
  ModelBuilder b = model();
  FunctionBuilder(b, "F0", {"a"}, {"b"}).node("Relu", {"a"}, {"b"});
  for (int i = 1; i <= 30; ++i) {
    FunctionBuilder next(b, "F" + std::to_string(i), {"a"}, {"b"});
    next.node("F" + std::to_string(i - 1), {"a"}, {"t"}).set_domain("my");
    next.node("F" + std::to_string(i - 1), {"t"}, {"b"}).set_domain("my");
  }
  call(b, "F30", {"x"}, {"y"});
  EXPECT_NE(error_of(b).find("more than"), std::string::npos) << error_of(b);
}

}  // namespace
}  // namespace nibble
