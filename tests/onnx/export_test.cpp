// Writing models: what was read comes back, quantized types become QDQ form, opsets rise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "onnx/model_builder.h"
#include "onnx/sample_models.h"
#include "support/shared_files.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

using testing::ModelBuilder;
using testing::rich_model;

onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(bytes));
  return proto;
}

TEST(serialize, what_was_read_and_not_touched_comes_back) {
  const ModelBuilder b = rich_model();
  onnx::ModelProto want = b.model;
  onnx::ModelProto have = parse(serialize_onnx(parse_onnx(b.bytes())));
  // The writer chooses raw_data, the order of initializers, and names for nodes without one.
  want.mutable_graph()->mutable_node(0)->set_name(have.graph().node(0).name());
  for (onnx::ModelProto* model : {&want, &have}) {
    std::sort(model->mutable_graph()->mutable_initializer()->pointer_begin(),
              model->mutable_graph()->mutable_initializer()->pointer_end(),
              [](const auto* a, const auto* c) { return a->name() < c->name(); });
    auto& weight = *model->mutable_graph()->mutable_initializer(1);
    if (weight.float_data_size() > 0) {
      weight.set_raw_data(weight.float_data().data(), sizeof(float) * 2);
      weight.clear_float_data();
    }
  }
  EXPECT_EQ(have.DebugString(), want.DebugString());
}

TEST(serialize, fields_newer_than_the_schema_come_back) {
  ModelBuilder b = rich_model();
  const auto add_unknown = [](google::protobuf::Message& message) {
    message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(999, "new");
  };
  add_unknown(b.model);
  add_unknown(b.graph());
  add_unknown(*b.graph().mutable_node(0));
  add_unknown(*b.graph().mutable_initializer(0));
  add_unknown(*b.graph().mutable_input(0));
  const onnx::ModelProto have = parse(serialize_onnx(parse_onnx(b.bytes())));
  const auto unknown = [](const google::protobuf::Message& message) {
    return message.GetReflection()->GetUnknownFields(message).field_count();
  };
  EXPECT_EQ(unknown(have), 1);
  EXPECT_EQ(unknown(have.graph()), 1);
  EXPECT_EQ(unknown(have.graph().node(0)), 1);
  EXPECT_EQ(unknown(have.graph().input(0)), 1);
  int initializers = 0;
  for (const auto& tensor : have.graph().initializer()) initializers += unknown(tensor);
  EXPECT_EQ(initializers, 1);
}

TEST(serialize, real_models_are_a_fixed_point) {
  for (const char* name :
       {"dtln-1", "fastestdet", "mobilenet-fmnist", "mobilenet-fmnist-bn", "mobilenetv3-qdq-int8",
        "resnet20-cifar", "silero-vad-16k", "squeezenet1.1", "ultraface-rfb-320"}) {
    NIBBLE_SHARED_FILE(path, std::string("models/") + name + ".onnx");
    const Graph graph = load_onnx(path);
    const std::string bytes = serialize_onnx(graph);
    const Graph again = parse_onnx(bytes);
    EXPECT_EQ(to_text(again), to_text(graph)) << name;
    // Folding puts quantized constants where DequantizeLinear was, so their order changes once.
    const bool quantized = bytes.find("DequantizeLinear") != std::string::npos;
    EXPECT_EQ(serialize_onnx(again).size(), bytes.size()) << name;
    EXPECT_TRUE(quantized || serialize_onnx(again) == bytes) << name;
    EXPECT_EQ(again.metadata, graph.metadata);
    EXPECT_EQ(onnx_origin(again).ir_version, onnx_origin(graph).ir_version);
    EXPECT_EQ(again.opsets, graph.opsets);
  }
}

// x -> op(s) -> MatMul with a quantized weight.
Graph with_quantized_weight(ModelBuilder& b, const std::string& data, const QuantParams& quant,
                            const char* op = "MatMul") {
  b.floats("w", {2, 2}, {0, 0, 0, 0});
  b.node(op, {data, "w"}, {"y"});
  b.output("y", {-1, 2});
  Graph graph = parse_onnx(b.bytes());
  Value& weight = graph.value(*graph.find_value("w"));
  const std::vector<int32_t> codes = {quant.qmin, quant.qmax, 0, 1};
  weight.data = pack_integers(quant.storage, {2, 2}, codes);
  weight.type.quant = quant;
  return graph;
}

QuantParams symmetric(DType storage, int32_t qmax) {
  return {.storage = storage, .qmin = -qmax, .qmax = qmax, .scale = {0.5F}, .zero_point = {0}};
}

std::vector<float> run(const Graph& graph, const Shape& shape) {
  Program program = compile(graph, {.arithmetic = Arithmetic::fake_quantize, .optimize = false});
  Tensor x(DType::f32, shape);
  for (size_t i = 0; i < static_cast<size_t>(x.elements()); ++i) {
    x.data<float>()[i] = static_cast<float>(i) - 1.5F;
  }
  const Tensor y = program.run(std::span(&x, 1))[0];
  return {y.data<float>().begin(), y.data<float>().end()};
}

TEST(serialize, the_opset_rises_only_as_far_as_the_stored_type_needs) {
  struct Case {
    QuantParams quant;
    int64_t opset, ir_version;
  };
  QuantParams per_channel = symmetric(DType::i8, 127);
  per_channel.scale = {1, 2};
  per_channel.zero_point = {0, 0};
  per_channel.granularity = Granularity::per_channel;
  for (const Case& c :
       {Case{symmetric(DType::i8, 127), 10, 5}, Case{per_channel, 13, 7},
        Case{symmetric(DType::i8, 31), 10, 5}, Case{symmetric(DType::i4, 7), 21, 10},
        Case{symmetric(DType::i8, 3), 21, 10}, Case{symmetric(DType::i8, 1), 25, 13}}) {
    ModelBuilder b(9, 3);
    b.input("x", {-1, 2});
    b.input("w", {2, 2});
    const Graph graph = with_quantized_weight(b, "x", c.quant, "Gemm");
    const std::string bytes = serialize_onnx(graph);
    const onnx::ModelProto proto = parse(bytes);
    EXPECT_EQ(proto.opset_import(0).version(), c.opset);
    EXPECT_EQ(proto.ir_version(), c.ir_version);
    EXPECT_EQ(proto.graph().input_size(), 1);
    const Graph again = parse_onnx(bytes);
    EXPECT_EQ(again.value(*again.find_value("w")).type.quant->qmax, c.quant.qmax);
    EXPECT_EQ(run(again, {2, 2}), run(graph, {2, 2}));
  }
}

onnx::AttributeProto& add_integers(onnx::NodeProto& node, const std::string& name,
                                   std::vector<int64_t> values) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (int64_t value : values) attribute.add_ints(value);
  return attribute;
}

TEST(serialize, operators_take_their_newer_form_when_the_opset_rises) {
  ModelBuilder b(9);
  b.input("x", {1, 2, 2});
  add_integers(b.node("Squeeze", {"x"}, {"s"}), "axes", {0});
  auto& clip = b.node("Clip", {"s"}, {"c"});
  auto& limit = *clip.add_attribute();
  limit.set_name("max");
  limit.set_type(onnx::AttributeProto::FLOAT);
  limit.set_f(0.75F);
  add_integers(b.node("Pad", {"c"}, {"p"}), "pads", {1, 0, 0, 0});
  auto& slice = b.node("Slice", {"p"}, {"t"});
  add_integers(slice, "starts", {0});
  add_integers(slice, "ends", {2});
  add_integers(slice, "axes", {0});
  auto& mean = b.node("ReduceMean", {"t"}, {"m"});
  add_integers(mean, "axes", {0});
  const Graph graph = with_quantized_weight(b, "m", symmetric(DType::i4, 7));
  const Graph again = parse_onnx(serialize_onnx(graph));
  EXPECT_EQ(again.opset(), 21);
  EXPECT_EQ(run(again, {1, 2, 2}), run(graph, {1, 2, 2}));
}

TEST(serialize, operators_that_changed_their_meaning_stop_the_rise) {
  ModelBuilder b(10);
  b.input("x", {2, 2, 2});
  b.floats("scales", {3}, {1, 0.5F, 2});  // one axis shrinks, another grows
  b.node("Resize", {"x", "scales"}, {"s"}).set_name("resize");
  const Graph graph = with_quantized_weight(b, "s", symmetric(DType::i4, 7));
  try {
    serialize_onnx(graph);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(error.what()).find("'resize'"), std::string::npos) << error.what();
  }
}

TEST(serialize, integer_operators_raise_the_opset_to_the_one_that_has_them) {
  const std::pair<const char*, int> needed[] = {{"DynamicQuantizeLinear", 11},
                                                {"ConvInteger", 10},
                                                {"MatMulInteger", 10},
                                                {"QLinearConv", 10},
                                                {"QLinearMatMul", 10}};
  for (const auto& [op, opset] : needed) {
    ModelBuilder b(7);
    b.input("x", {-1, 2});
    b.output("y", {-1, 2});
    b.node("Relu", {"x"}, {"y"});
    Graph graph = parse_onnx(b.bytes());
    EXPECT_EQ(parse(serialize_onnx(graph)).opset_import(0).version(), 7);
    graph.node(graph.nodes()[0]).op = op;
    const onnx::ModelProto model = parse(serialize_onnx(graph));
    EXPECT_EQ(model.opset_import(0).version(), opset) << op;
    EXPECT_GE(model.ir_version(), opset == 11 ? 6 : 5) << op;
    graph.node(graph.nodes()[0]).domain = "org.example";
    EXPECT_EQ(parse(serialize_onnx(graph)).opset_import(0).version(), 7) << op;
  }
}

TEST(serialize, tensorrt_takes_symmetric_int8_only) {
  ModelBuilder b;
  b.input("x", {-1, 2});
  Graph graph = with_quantized_weight(b, "x", symmetric(DType::i8, 127));
  EXPECT_NO_THROW(serialize_onnx(graph, find_target("tensorrt")));
  graph.value(graph.inputs[0]).type.quant =
      QuantParams{.storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {1}, .zero_point = {128}};
  EXPECT_NO_THROW(serialize_onnx(graph, find_target("onnxruntime")));
  try {
    serialize_onnx(graph, find_target("tensorrt"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'x'"), std::string::npos) << error.what();
  }
}

TEST(serialize, openvino_gets_no_two_bit_integers) {
  ModelBuilder b;
  b.input("x", {-1, 2});
  const Graph graph = with_quantized_weight(b, "x", symmetric(DType::i2, 1), "Gemm");
  EXPECT_EQ(parse(serialize_onnx(graph, find_target("openvino"))).opset_import(0).version(), 21);
  EXPECT_EQ(parse(serialize_onnx(graph, find_target("onnxruntime"))).opset_import(0).version(), 25);
}

TEST(save, writes_a_file_that_loads_and_nothing_on_failure) {
  const testing::TempFolder folder;
  ModelBuilder b;
  b.input("x", {-1, 2});
  const Graph graph = with_quantized_weight(b, "x", symmetric(DType::i8, 127));
  save_onnx(graph, folder / "model.onnx");
  EXPECT_EQ(to_text(load_onnx(folder / "model.onnx")), to_text(graph));
  EXPECT_THROW(save_onnx(graph, folder / "missing" / "model.onnx"), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "missing"));
}

TEST(tensor_proto, every_type_survives_a_file) {
  const testing::TempFolder folder;
  for (const DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::i32,
                            DType::i16, DType::i8, DType::i4, DType::i2, DType::u64, DType::u32,
                            DType::u16, DType::u8, DType::u4, DType::u2, DType::boolean}) {
    const Tensor ones = convert(Tensor::of<int32_t>({3}, {1, 0, 1}), dtype);
    save_tensor_proto(ones, "t", folder / "t.pb");
    const Tensor back = load_tensor_proto(folder / "t.pb");
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), ones.shape());
    EXPECT_EQ(std::memcmp(back.raw(), ones.raw(), ones.bytes()), 0) << name_of(dtype);
  }
  EXPECT_THROW(parse_tensor_proto("rubbish"), Error);
}

}  // namespace
}  // namespace nibble
