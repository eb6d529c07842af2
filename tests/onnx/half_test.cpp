// Models in half precision: read, and written with the constants as small as they were.
#include <gtest/gtest.h>

#include "nibble/onnx.h"
#include "nibble/ranges.h"
#include "nibble/runtime.h"
#include "onnx/model_builder.h"

namespace nibble {
namespace {

using testing::ModelBuilder;

constexpr int kHalf = 10, kBFloat = 16;

onnx::TensorProto& halves(ModelBuilder& b, const std::string& name, std::vector<int64_t> dims,
                          int dtype) {
  onnx::TensorProto& tensor = b.floats(name, dims, {});
  tensor.set_data_type(dtype);
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  for (int64_t i = 0; i < count; ++i) {
    const float value = 0.25F * static_cast<float>(i % 17) - 2;
    tensor.add_int32_data(dtype == kHalf ? to_half(value).bits : to_bfloat16(value).bits);
  }
  return tensor;
}

ModelBuilder product(int dtype) {
  ModelBuilder b;
  b.input("x", {1, 16}, dtype);
  b.output("y", {1, 16}, dtype);
  halves(b, "w", {16, 16}, dtype);
  b.node("MatMul", {"x", "w"}, {"y"});
  return b;
}

TEST(half, a_widened_constant_is_stored_as_it_was) {
  for (const int dtype : {kHalf, kBFloat}) {
    const Graph graph = parse_onnx(product(dtype).bytes());
    const Graph prepared = prepare_for_quantization(graph);
    EXPECT_EQ(prepared.value(*prepared.find_value("w")).type.dtype, DType::f32);
    onnx::ModelProto written;
    ASSERT_TRUE(written.ParseFromString(serialize_onnx(prepared)));
    ASSERT_EQ(written.graph().initializer_size(), 1);
    EXPECT_EQ(written.graph().initializer(0).data_type(), dtype);
    EXPECT_EQ(written.graph().input(0).type().tensor_type().elem_type(), dtype);
    EXPECT_EQ(written.graph().output(0).type().tensor_type().elem_type(), dtype);
  }
}

TEST(half, a_constant_that_is_no_longer_exact_is_stored_in_full) {
  Graph prepared = prepare_for_quantization(parse_onnx(product(kHalf).bytes()));
  Value& weight = prepared.value(*prepared.find_value("w"));
  weight.data = weight.data.clone();
  weight.data.data<float>()[5] = 0.1F;
  onnx::ModelProto written;
  ASSERT_TRUE(written.ParseFromString(serialize_onnx(prepared)));
  EXPECT_EQ(written.graph().initializer(0).data_type(), 1);
}

TEST(half, a_model_that_is_only_read_and_written_stays_as_it_is) {
  onnx::ModelProto written;
  ASSERT_TRUE(written.ParseFromString(serialize_onnx(parse_onnx(product(kHalf).bytes()))));
  EXPECT_EQ(written.graph().node_size(), 1);
  EXPECT_EQ(written.graph().initializer(0).data_type(), kHalf);
}

TEST(half, quantized_values_in_half_become_types) {
  ModelBuilder b(19, 9);
  b.input("x", {4}, kHalf);
  b.output("y", {4}, kHalf);
  onnx::TensorProto& scale = b.floats("s", {}, {});
  scale.set_data_type(kHalf);
  scale.add_int32_data(to_half(0.5F).bits);
  onnx::TensorProto& zero = b.floats("z", {}, {});
  zero.set_data_type(3);
  zero.add_int32_data(1);
  b.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  b.node("DequantizeLinear", {"q", "s", "z"}, {"r"});
  b.node("Relu", {"r"}, {"y"});
  const Graph graph = parse_onnx(b.bytes());
  bool typed = false;
  for (int32_t i = 0; i < graph.value_count(); ++i)
    typed |= graph.value({i}).type.quant.has_value();
  EXPECT_TRUE(typed) << to_text(graph);
  const Tensor wide = Tensor::of<float>({4}, {-1, 0.3F, 1.1F, 200});
  const std::vector<Tensor> inputs = {convert(wide, DType::f16)};
  Program program = compile(graph, {});
  const Tensor y = program.run(inputs)[0];
  EXPECT_EQ(y.dtype(), DType::f16);
  const Tensor reals = convert(y, DType::f32);
  EXPECT_EQ(std::vector<float>(reals.data<float>().begin(), reals.data<float>().end()),
            (std::vector<float>{0, 0.5F, 1, 63}));
}

}  // namespace
}  // namespace nibble
