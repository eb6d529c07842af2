// The messages of ONNX as bytes, compared with protobuf.
#include "onnx/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <gtest/gtest.h>

#include <random>

#include "onnx/sample_models.h"

namespace nibble {
namespace {

using testing::ModelBuilder;

// A model with something in every field that Nibble looks into, and in many that it does not.
std::string rich_model() {
  ModelBuilder b;
  b.model.set_producer_name("");
  b.model.set_doc_string("doc");
  b.model.set_domain("a.b");
  b.input("x", {2, -1});
  b.graph().mutable_input(0)->mutable_type()->set_denotation("IMAGE");
  auto& dim = *b.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  dim.mutable_dim(1)->set_dim_param("N");
  dim.mutable_dim(1)->set_denotation("BATCH");
  b.output("y", {});
  b.floats("w", {3}, {0.5F, -0.0F, 1e30F}).set_doc_string("why");
  onnx::TensorProto& other = b.floats("v", {}, {});
  for (int64_t n : {int64_t{-1}, int64_t{0}, int64_t{1} << 40}) other.add_int64_data(n);
  for (int n : {-5, 0, 300}) other.add_int32_data(n);
  for (uint64_t n : {uint64_t{0}, ~uint64_t{0}}) other.add_uint64_data(n);
  other.add_double_data(-1.25);
  other.add_string_data(std::string("a\0b", 3));
  other.set_data_location(onnx::TensorProto::EXTERNAL);
  auto& entry = *other.add_external_data();
  entry.set_key("location");
  entry.set_value("there");
  b.floats("u", {2, 2}, {}).set_raw_data(std::string(16, 'r'));
  onnx::NodeProto& node = b.node("Op", {"x", "", "w"}, {"y"});
  node.set_doc_string("of the node");
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name("all");
  attribute.set_f(1.5F);
  attribute.set_i(-3);
  attribute.set_s("text");
  attribute.mutable_t()->set_name("inner");
  attribute.mutable_g()->add_node()->set_op_type("Inner");
  attribute.add_floats(2);
  attribute.add_ints(-7);
  attribute.add_strings("s");
  attribute.add_tensors()->set_data_type(7);
  attribute.add_graphs()->set_name("g");
  attribute.set_type(onnx::AttributeProto::INTS);
  attribute.set_ref_attr_name("r");
  attribute.set_doc_string("of the attribute");
  b.graph().add_quantization_annotation()->set_tensor_name("x");
  b.graph().add_sparse_initializer()->mutable_values()->set_name("sparse");
  onnx::FunctionProto& function = *b.model.add_functions();
  function.set_name("f");
  function.add_input("i");
  function.add_output("o");
  function.add_attribute("alpha");
  function.add_node()->set_op_type("Relu");
  function.add_opset_import()->set_version(9);
  function.set_domain("d");
  auto& meta = *b.model.add_metadata_props();
  meta.set_key("k");
  meta.set_value("v");
  return b.bytes();
}

std::string by_protobuf(const onnx::ModelProto& model) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  model.SerializePartialToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

TEST(wire, what_protobuf_wrote_is_read_and_written_as_it_was) {
  const std::string bytes = rich_model();
  schema::ModelProto model;
  ASSERT_TRUE(parse_proto(model, bytes));
  EXPECT_EQ(serialize_proto(model), bytes);
  EXPECT_EQ(proto_size(model), bytes.size());
}

TEST(wire, fields_are_what_protobuf_says_they_are) {
  const std::string bytes = rich_model();
  schema::ModelProto model;
  ASSERT_TRUE(parse_proto(model, bytes));
  EXPECT_TRUE(model.producer_name.has());
  EXPECT_EQ(*model.producer_name, "");
  EXPECT_FALSE(model.graph->node[0].domain.has());
  EXPECT_EQ(*model.graph->name, "test");
  EXPECT_EQ(model.graph->node[0].input, (std::vector<std::string>{"x", "", "w"}));
  EXPECT_EQ(model.graph->initializer[1].int32_data, (std::vector<int32_t>{-5, 0, 300}));
  EXPECT_EQ(model.graph->initializer[1].int64_data,
            (std::vector<int64_t>{-1, 0, int64_t{1} << 40}));
  EXPECT_EQ(model.graph->initializer[2].raw_data->view, std::string(16, 'r'));
  EXPECT_EQ(*model.graph->node[0].attribute[0].f, 1.5F);
  EXPECT_EQ(*model.graph->node[0].attribute[0].g->node[0].op_type, "Inner");
  const auto& type = *model.graph->input[0].type->tensor_type;
  EXPECT_EQ(*type.shape->dim[0].dim_value, 2);
  EXPECT_EQ(*type.shape->dim[1].dim_param, "N");
}

TEST(wire, lists_of_numbers_are_read_packed_or_not) {
  // TensorProto: dims (1) packed, float_data (4) one by one.
  std::string bytes("\x0a\x02\x02\x03\x25", 5);
  bytes += std::string("\0\0\x80\x3f\x25\0\0\0\x40", 9);
  schema::TensorProto tensor;
  ASSERT_TRUE(parse_proto(tensor, bytes));
  EXPECT_EQ(tensor.dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(tensor.float_data, (std::vector<float>{1, 2}));
}

TEST(wire, a_message_that_stands_twice_is_one) {
  ModelBuilder first, second;
  first.node("A", {}, {});
  second.node("B", {}, {});
  schema::ModelProto model;
  ASSERT_TRUE(parse_proto(model, first.bytes() + second.bytes()));
  ASSERT_EQ(model.graph->node.size(), 2U);
  EXPECT_EQ(*model.graph->node[1].op_type, "B");
}

TEST(wire, elements_stay_where_they_are_if_asked_to) {
  ModelBuilder b;
  b.floats("w", {2}, {}).set_raw_data("abcdefgh");
  const std::string bytes = b.bytes();
  schema::ModelProto model;
  ASSERT_TRUE(parse_proto(model, bytes, Elements::refer));
  const std::string_view view = model.graph->initializer[0].raw_data->view;
  EXPECT_EQ(view, "abcdefgh");
  EXPECT_GE(view.data(), bytes.data());
  EXPECT_LT(view.data(), bytes.data() + bytes.size());
}

// Bodies in bodies.
std::string nested(int depth) {
  onnx::GraphProto inner;
  for (int i = 0; i < depth; ++i) {
    onnx::GraphProto outer;
    *outer.add_node()->add_attribute()->mutable_g() = inner;
    inner = outer;
  }
  ModelBuilder b;
  *b.model.mutable_graph() = inner;
  return b.bytes();
}

TEST(wire, messages_stand_in_each_other_as_deep_as_protobuf_lets_them) {
  for (int depth = 30; depth < 36; ++depth) {
    const std::string bytes = nested(depth);
    schema::ModelProto ours;
    onnx::ModelProto theirs;
    EXPECT_EQ(parse_proto(ours, bytes), theirs.ParsePartialFromString(bytes)) << depth;
  }
}

// What is damaged within a message that Nibble does not look into stays there.
TEST(wire, damaged_bytes_are_refused_where_protobuf_refuses_them) {
  onnx::ModelProto whole;
  ASSERT_TRUE(whole.ParseFromString(rich_model()));
  whole.clear_functions();  // the installed schema may know less of them than ours
  const std::string bytes = by_protobuf(whole);
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = bytes;
    if (i < static_cast<int>(bytes.size())) {
      damaged.resize(static_cast<size_t>(i));
    } else {
      for (int k = 0; k < 1 + i % 3; ++k) {
        const size_t at = random() % damaged.size();
        damaged[at] ^= static_cast<char>(1U << random() % 8);
      }
    }
    schema::ModelProto ours;
    onnx::ModelProto theirs;
    const bool read = theirs.ParsePartialFromString(damaged);
    const bool read_by_us = parse_proto(ours, damaged);
    if (read || i < static_cast<int>(bytes.size())) {
      ASSERT_EQ(read_by_us, read) << i;
    }
    refused += read_by_us ? 0 : 1;
    if (!read) continue;
    // What is read is written as protobuf writes it, but for where it puts what it does not know.
    schema::ModelProto again, expected;
    ASSERT_TRUE(parse_proto(again, serialize_proto(ours))) << i;
    ASSERT_TRUE(parse_proto(expected, by_protobuf(theirs))) << i;
    EXPECT_EQ(*again.producer_name, *expected.producer_name) << i;
    EXPECT_EQ(again.graph->node.size(), expected.graph->node.size()) << i;
    EXPECT_EQ(again.graph->initializer.size(), expected.graph->initializer.size()) << i;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace nibble
