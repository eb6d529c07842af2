// Reading models: element types, external data, names, subgraphs.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "onnx/model_builder.h"
#include "onnx/sample_models.h"
#include "support/shared_files.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

using testing::ModelBuilder;
using testing::nested_if;

std::string error_of(const ModelBuilder& b, const std::filesystem::path& folder = {}) {
  try {
    parse_onnx(b.bytes(), folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

void expect_error(const ModelBuilder& b, const std::string& part) {
  const std::string message = error_of(b);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

ModelBuilder relu() {
  ModelBuilder b;
  b.input("x", {2});
  b.output("y", {2});
  b.node("Relu", {"x"}, {"y"});
  return b;
}

TEST(import, packed_and_typed_elements_of_every_integer_type) {
  struct Case {
    int onnx;
    DType dtype;
    std::vector<int32_t> stored;  // as int32_data
    std::vector<int32_t> values;
  };
  for (const Case& c :
       {Case{3, DType::i8, {-1, 127, 5}, {-1, 127, 5}},
        Case{2, DType::u8, {255, 0, 5}, {255, 0, 5}},
        Case{5, DType::i16, {-300, 1, 2}, {-300, 1, 2}},
        Case{4, DType::u16, {65535, 1, 2}, {65535, 1, 2}},
        Case{6, DType::i32, {-70000, 1, 2}, {-70000, 1, 2}},
        Case{22, DType::i4, {0x78, 0x0f}, {-8, 7, -1}},
        Case{21, DType::u4, {0x78, 0x0f}, {8, 7, 15}}, Case{26, DType::i2, {0x2d}, {1, -1, -2}},
        Case{25, DType::u2, {0x2d}, {1, 3, 2}}}) {
    ModelBuilder b = relu();
    onnx::TensorProto& tensor = b.floats("t", {3}, {});
    tensor.set_data_type(c.onnx);
    for (int32_t value : c.stored) tensor.add_int32_data(value);
    const Graph graph = parse_onnx(b.bytes());
    const Tensor& data = graph.value(*graph.find_value("t")).data;
    EXPECT_EQ(data.dtype(), c.dtype);
    EXPECT_EQ(unpack_integers(data), c.values);
  }
}

TEST(import, half_and_bool_elements) {
  ModelBuilder b = relu();
  onnx::TensorProto& half = b.floats("half", {2}, {});
  half.set_data_type(10);
  half.add_int32_data(0x3c00);
  half.add_int32_data(0xc000);
  onnx::TensorProto& flags = b.floats("flags", {2}, {});
  flags.set_data_type(9);
  flags.set_raw_data(std::string("\x02\x00", 2));
  const Graph graph = parse_onnx(b.bytes());
  const Tensor wide = convert(graph.value(*graph.find_value("half")).data, DType::f32);
  EXPECT_EQ(wide.data<float>()[0], 1.0F);
  EXPECT_EQ(wide.data<float>()[1], -2.0F);
  EXPECT_TRUE(graph.value(*graph.find_value("flags")).data.data<bool>()[0]);
}

TEST(import, initializers_listed_as_inputs_are_constants) {
  ModelBuilder b(8, 3);
  b.input("x", {2});
  b.input("w", {2});
  b.output("y", {2});
  b.floats("w", {2}, {1, 2});
  b.node("Add", {"x", "w"}, {"y"});
  const Graph graph = parse_onnx(b.bytes());
  EXPECT_EQ(graph.inputs.size(), 1U);
  EXPECT_TRUE(graph.value(*graph.find_value("w")).is_constant());
  onnx::ModelProto again;
  ASSERT_TRUE(again.ParseFromString(serialize_onnx(graph)));
  EXPECT_EQ(again.graph().input_size(), 2);
  EXPECT_EQ(again.ir_version(), 3);
}

TEST(import, unnamed_and_doubly_named_nodes_get_names_of_their_own) {
  ModelBuilder b;
  b.input("x", {2});
  b.output("c", {2});
  b.node("Relu", {"x"}, {"a"});
  b.node("Relu", {"a"}, {"b"}).set_name("twin");
  b.node("Relu", {"b"}, {"c"}).set_name("twin");
  const Graph graph = parse_onnx(b.bytes());
  std::set<std::string> names;
  for (NodeId id : graph.nodes()) {
    EXPECT_FALSE(graph.node(id).name.empty());
    names.insert(graph.node(id).name);
  }
  EXPECT_EQ(names.size(), 3U);
}

TEST(import, symbolic_dimensions_keep_their_names) {
  ModelBuilder b = relu();
  b.graph()
      .mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_param("batch");
  const Graph graph = parse_onnx(b.bytes());
  const Value& x = graph.value(graph.inputs[0]);
  EXPECT_EQ(x.type.shape[0], Shape::kUnknown);
  EXPECT_EQ(x.dim_names, std::vector<std::string>{"batch"});
}

// An If whose branches use a value of the outer graph, one through another If.
TEST(import, subgraphs_tell_what_they_capture) {
  const Graph graph = parse_onnx(nested_if().bytes());
  const Node& node = graph.node(graph.nodes()[0]);
  std::set<std::string> captured;
  for (ValueId id : node.captures) captured.insert(graph.value(id).name);
  EXPECT_EQ(captured, (std::set<std::string>{"c", "x"}));
}

TEST(import, a_subgraph_that_reads_what_nobody_computes_is_an_error) {
  ModelBuilder b = nested_if();
  b.graph().mutable_input()->DeleteSubrange(1, 1);
  expect_error(b, "'x', which nothing computes");
}

TEST(import, cycles_duplicates_and_missing_values_are_named) {
  ModelBuilder cycle;
  cycle.output("a", {2});
  cycle.node("Relu", {"b"}, {"a"}).set_name("first");
  cycle.node("Relu", {"a"}, {"b"});
  expect_error(cycle, "lies on a cycle");

  ModelBuilder twice = relu();
  twice.node("Neg", {"x"}, {"y"});
  expect_error(twice, "'y'");

  ModelBuilder missing = relu();
  missing.graph().mutable_node(0)->set_input(0, "nowhere");
  expect_error(missing, "'nowhere', which nothing computes");

  ModelBuilder output = relu();
  output.output("ghost", {2});
  expect_error(output, "'ghost' is never computed");
}

TEST(import, bad_tensors_are_named) {
  ModelBuilder nan = relu();
  nan.floats("w", {2}, {1, std::nanf("")});
  expect_error(nan, "tensor 'w' contains NaN");

  ModelBuilder wrong = relu();
  wrong.floats("w", {3}, {1, 2});
  expect_error(wrong, "tensor 'w'");

  ModelBuilder raw = relu();
  raw.floats("w", {3}, {}).set_raw_data("12345678");
  expect_error(raw, "takes 12 bytes, the file holds 8");

  ModelBuilder huge = relu();
  huge.floats("w", {int64_t{1} << 40U, int64_t{1} << 40U}, {1});
  expect_error(huge, "more elements than memory can address");

  ModelBuilder large = relu();
  large.floats("w", {int64_t{1} << 40U}, {1});
  expect_error(large, "tensor 'w'");

  ModelBuilder negative = relu();
  negative.floats("w", {-2}, {1});
  expect_error(negative, "negative");

  ModelBuilder type = relu();
  type.floats("w", {1}, {1}).set_data_type(77);
  expect_error(type, "element type 77");
}

TEST(import, opsets_outside_the_range_are_refused) {
  expect_error(ModelBuilder(6), "opset 6");
  expect_error(ModelBuilder(99), "opset 99");
}

TEST(import, deep_subgraphs_are_an_error_not_a_crash) {
  onnx::GraphProto graph;
  for (int depth = 0; depth < 500; ++depth) {
    onnx::GraphProto outer;
    auto& attribute = *outer.add_node()->add_attribute();
    attribute.set_name("body");
    attribute.set_type(onnx::AttributeProto::GRAPH);
    attribute.mutable_g()->Swap(&graph);
    graph.Swap(&outer);
  }
  ModelBuilder b;
  b.graph().Swap(&graph);
  EXPECT_NE(error_of(b), "no error");
}

ModelBuilder with_external(const std::string& location, const std::string& offset,
                           const std::string& length) {
  ModelBuilder b = relu();
  onnx::TensorProto& tensor = b.floats("w", {2}, {});
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] : {std::pair("location", location), std::pair("offset", offset),
                                   std::pair("length", length)}) {
    if (value.empty()) continue;
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  }
  return b;
}

TEST(import, external_data_is_read_and_checked) {
  const testing::TempFolder folder;
  {
    std::ofstream file(folder.path() / "weights.bin", std::ios::binary);
    const float values[] = {0, 1.5F, 2.5F};
    file.write(reinterpret_cast<const char*>(values), sizeof values);
  }
  const Graph graph = parse_onnx(with_external("weights.bin", "4", "8").bytes(), folder.path());
  EXPECT_EQ(graph.value(*graph.find_value("w")).data.data<float>()[1], 2.5F);

  const auto refused = [&](const ModelBuilder& b, const std::string& part) {
    const std::string message = error_of(b, folder.path());
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("'w'"), std::string::npos) << message;
  };
  refused(with_external("weights.bin", "8", "8"), "bytes 8 to 8+8 of 12");
  refused(with_external("weights.bin", "0", "12"), "takes 8 bytes");
  refused(with_external("weights.bin", "-4", ""), "not a number of bytes");
  refused(with_external("weights.bin", "99999999999999999999", ""), "not a number of bytes");
  refused(with_external("missing.bin", "", ""), "missing.bin");
  refused(with_external("../weights.bin", "", ""), "outside the model's folder");
  refused(with_external("/etc/passwd", "", ""), "outside the model's folder");
  refused(with_external("", "", ""), "outside the model's folder");
  std::filesystem::create_symlink("/etc/passwd", folder.path() / "link");
  refused(with_external("link", "", ""), "outside the model's folder");
  EXPECT_NE(error_of(with_external("weights.bin", "", "")).find("not read from a folder"),
            std::string::npos);
}

TEST(import, files_that_are_not_models_are_refused) {
  EXPECT_THROW(parse_onnx(""), Error);
  EXPECT_THROW(parse_onnx("not a model at all"), Error);
  EXPECT_THROW(load_onnx("/nonexistent/model.onnx"), Error);
}

TEST(import, no_attribute_name_means_anything_to_nibble_alone) {
  for (const char* name : {"nibble_initializer", "nibble_channels_last", "nibble_activation"}) {
    ModelBuilder b = relu();
    onnx::AttributeProto& attribute = *b.graph().mutable_node(0)->add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::INT);
    attribute.set_i(1);
    onnx::ModelProto again;
    ASSERT_TRUE(again.ParseFromString(serialize_onnx(parse_onnx(b.bytes()))));
    EXPECT_EQ(again.graph().node(0).attribute(0).name(), name);
    EXPECT_EQ(again.graph().node(0).attribute(0).i(), 1);
  }
}

TEST(import, the_domain_that_nibble_keeps_for_itself_is_refused) {
  ModelBuilder b = relu();
  b.graph().mutable_node(0)->set_domain("nibble");
  expect_error(b, "keeps for itself");
}

TEST(import, nodes_without_their_outputs_or_inputs_are_left_alone) {
  for (const std::string op : {"DequantizeLinear", "QuantizeLinear", "Clip", "Identity", "Cast"}) {
    for (const std::vector<std::string>& outputs : {std::vector<std::string>{}, {""}, {"", "o"}}) {
      for (const std::vector<std::string>& inputs :
           {std::vector<std::string>{}, {"q"}, {"", "s", "z"}, {"q", "s", "z"}, {"codes", "s"}}) {
        ModelBuilder b = relu();
        b.floats("s", {}, {0.5F});
        onnx::TensorProto& zero = b.floats("z", {}, {});
        zero.set_data_type(2);
        zero.add_int32_data(3);
        onnx::TensorProto& codes = b.floats("codes", {2}, {});
        codes.set_data_type(3);
        codes.add_int32_data(1);
        codes.add_int32_data(2);
        b.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
        b.node("DequantizeLinear", {"q", "s", "z"}, {"r"});
        b.node(op, inputs, outputs);
        EXPECT_NO_THROW(parse_onnx(b.bytes())) << op << ' ' << inputs.size() << outputs.size();
      }
    }
  }
}

TEST(import, an_int32_constant_with_a_zero_point_is_no_type) {
  for (const int zero : {0, -2147483647}) {
    ModelBuilder b = relu();
    b.floats("s", {}, {0.5F});
    onnx::TensorProto& codes = b.floats("codes", {2}, {});
    codes.set_data_type(6);
    codes.add_int32_data(2147483647);
    codes.add_int32_data(1);
    onnx::TensorProto& point = b.floats("z", {}, {});
    point.set_data_type(6);
    point.add_int32_data(zero);
    b.node("DequantizeLinear", {"codes", "s", "z"}, {"w"});
    b.node("Add", {"x", "w"}, {"sum"});
    b.output("sum", {2});
    const Graph graph = parse_onnx(b.bytes());
    const bool typed = graph.value(*graph.find_value("w")).type.quant.has_value();
    EXPECT_EQ(typed, zero == 0);
  }
}

}  // namespace
}  // namespace nibble
