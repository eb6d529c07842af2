// Which values quantize() gives which types.
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

using testing::images;
using testing::is_quantized;
using testing::NetworkBuilder;
using testing::outputs;
using testing::quantized;
using testing::value_named;

TEST(quantize_types, follow_the_conventions) {
  EXPECT_EQ(to_text(quantized(testing::three_convs(), {8, 8})),
            "input %x:f32[?,3,6,6] as u8\n"
            "%conv1:f32[?,8,6,6] = Conv(%x, %conv1_w, %conv1_b) {pads=[1,1,1,1]}\n"
            "%relu1:f32[?,8,6,6] as u8 = Relu(%conv1)\n"
            "%conv2:f32[?,8,6,6] = Conv(%relu1, %conv2_w, %conv2_b) {pads=[1,1,1,1]}\n"
            "%relu2:f32[?,8,6,6] as u8 = Relu(%conv2)\n"
            "%conv3:f32[?,4,6,6] = Conv(%relu2, %conv3_w, %conv3_b) {pads=[0,0,0,0]}\n"
            "output %conv3\n");
}

TEST(quantize_types, residual_additions_are_integers) {
  const Graph graph = quantized(testing::residual(), {8, 8});
  EXPECT_TRUE(is_quantized(graph, "relu1"));
  EXPECT_TRUE(is_quantized(graph, "conv2"));
  EXPECT_FALSE(is_quantized(graph, "add"));  // fused into relu2
  EXPECT_TRUE(is_quantized(graph, "relu2"));
  EXPECT_FALSE(is_quantized(graph, "conv3"));
}

// What each reader of the skip connection of residual() sees.
int greatest_code_read(const Graph& graph, const char* reader, size_t input) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.name == reader) return graph.value(node.inputs.at(input)).type.quant->qmax;
  }
  throw std::out_of_range(reader);
}

TEST(quantize_types, what_is_added_keeps_8_bits_and_layers_read_a_copy_in_fewer) {
  const Graph graph = quantized(testing::residual(), {4, 4});
  EXPECT_EQ(greatest_code_read(graph, "add", 1), 255);
  EXPECT_EQ(greatest_code_read(graph, "conv2", 0), 15);
  EXPECT_EQ(value_named(graph, "relu1").type.quant->qmax, 255);
  EXPECT_EQ(value_named(graph, "relu1_4bit").type.quant->qmax, 15);

  const Graph narrow = quantized(testing::residual(), {4, 4}, {.eight_bit_sums = false});
  EXPECT_EQ(greatest_code_read(narrow, "add", 1), 15);
  EXPECT_EQ(greatest_code_read(narrow, "conv2", 0), 15);

  const Graph wide = quantized(testing::residual(), {4, 8});
  EXPECT_EQ(wide.nodes().size(), testing::residual().nodes().size());
}

TEST(quantize_types, of_sums_and_their_copies_are_read_back_from_the_file) {
  const Graph graph = quantized(testing::residual(), {4, 4});
  const Graph back = parse_onnx(serialize_onnx(graph));
  EXPECT_EQ(greatest_code_read(back, "add", 1), 255);
  EXPECT_EQ(greatest_code_read(back, "conv2", 0), 15);
  EXPECT_EQ(back.nodes().size(), graph.nodes().size());
  EXPECT_EQ(outputs(back, images(8)), outputs(graph, images(8)));
}

TEST(quantize_types, bias_has_the_scale_of_the_accumulator) {
  const Graph graph = quantized(testing::three_convs(), {8, 8});
  const QuantParams& data = *value_named(graph, "relu1").type.quant;
  const QuantParams& weight = *value_named(graph, "conv2_w").type.quant;
  const QuantParams& bias = *value_named(graph, "conv2_b").type.quant;
  EXPECT_EQ(weight.storage, DType::i8);
  EXPECT_EQ(weight.granularity, Granularity::per_channel);
  EXPECT_EQ(weight.axis, 0);
  EXPECT_EQ(bias.storage, DType::i32);
  ASSERT_EQ(bias.scale.size(), weight.scale.size());
  for (size_t c = 0; c < bias.scale.size(); ++c) {
    EXPECT_EQ(bias.scale[c], data.scale[0] * weight.scale[c]);
    EXPECT_EQ(bias.zero_point[c], 0);
  }
}

TEST(quantize_types, after_relu_zero_is_the_first_code) {
  const Graph graph = quantized(testing::three_convs(), {8, 8});
  EXPECT_EQ(value_named(graph, "relu1").type.quant->zero_point[0], 0);
  EXPECT_GT(value_named(graph, "x").type.quant->zero_point[0], 0);
}

TEST(quantize_types, weights_have_their_bits) {
  const std::vector<std::pair<int, DType>> storages = {
      {8, DType::i8}, {6, DType::i8}, {4, DType::i4}, {3, DType::i4}, {2, DType::i2}};
  for (const auto& [bits, storage] : storages) {
    const Graph graph = quantized(testing::three_convs(), {bits, 8});
    const Value& middle = value_named(graph, "conv2_w");
    EXPECT_EQ(middle.type.quant->storage, storage);
    EXPECT_EQ(middle.type.quant->bits(), bits);
    EXPECT_EQ(middle.data.dtype(), storage);
    const std::vector<int32_t> codes = unpack_integers(middle.data);
    EXPECT_GE(*std::ranges::min_element(codes), middle.type.quant->qmin);
    EXPECT_LE(*std::ranges::max_element(codes), middle.type.quant->qmax);
    EXPECT_EQ(value_named(graph, "conv1_w").type.quant->bits(), 8);  // first
    EXPECT_EQ(value_named(graph, "conv3_w").type.quant->bits(), 8);  // last
    const Graph all = quantized(testing::three_convs(), {bits, 8}, {.first_and_last_8bit = false});
    EXPECT_EQ(value_named(all, "conv1_w").type.quant->bits(), bits);
  }
}

TEST(quantize_types, narrow_activations_use_few_codes_of_a_byte) {
  const Graph graph = quantized(testing::three_convs(), {4, 4});
  const QuantParams& middle = *value_named(graph, "relu1").type.quant;
  EXPECT_EQ(middle.storage, DType::u8);
  EXPECT_EQ(middle.qmax, 15);
  EXPECT_EQ(value_named(graph, "relu2").type.quant->qmax, 255);  // the last layer's data
  EXPECT_EQ(value_named(graph, "x").type.quant->qmax, 255);
}

TEST(quantize_types, sixteen_bits_keep_a_real_bias) {
  const Graph graph = quantized(testing::three_convs(), {16, 16});
  EXPECT_EQ(value_named(graph, "relu1").type.quant->storage, DType::u16);
  EXPECT_EQ(value_named(graph, "conv2_w").type.quant->storage, DType::i16);
  EXPECT_FALSE(is_quantized(graph, "conv2_b"));
}

TEST(quantize_types, weight_only_leaves_activations_alone) {
  const Graph graph = quantized(testing::three_convs(64), {4, 0}, {.weight_block_size = 32});
  for (const char* name : {"x", "relu1", "relu2", "conv2_b"}) {
    EXPECT_FALSE(is_quantized(graph, name)) << name;
  }
  const QuantParams& blocks = *value_named(graph, "conv2_w").type.quant;
  EXPECT_EQ(blocks.granularity, Granularity::per_block);
  EXPECT_EQ(blocks.axis, 1);
  EXPECT_EQ(blocks.scale.size(), 64U * 2 * 9);
  EXPECT_EQ(value_named(graph, "conv1_w").type.quant->granularity, Granularity::per_channel);
}

TEST(quantize_types, an_output_that_is_read_is_not_quantized_but_its_copy_is) {
  Graph graph = testing::three_convs();
  graph.outputs.push_back(*graph.find_value("relu1"));
  const Graph result = quantized(graph, {8, 8});
  EXPECT_FALSE(is_quantized(result, "relu1"));
  EXPECT_TRUE(is_quantized(result, "relu1_copy"));
  EXPECT_EQ(outputs(result, images(2)).size(), 2U * 4 * 36);
  const Graph weight_only = quantized(graph, {8, 0});
  EXPECT_EQ(weight_only.nodes().size(), graph.nodes().size());
}

TEST(quantize_types, float_tails_and_float_branches_stay_in_float) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId conv = net.conv("conv1", net.last, 3, 4);
  const ValueId sigmoid = net.add({.op = "Sigmoid", .name = "gate", .inputs = {conv}});
  net.add({.op = "Mul", .name = "product", .inputs = {conv, sigmoid}});
  const Graph graph = quantized(net.finish(), {8, 8});
  for (const char* name : {"conv1", "gate", "product"}) EXPECT_FALSE(is_quantized(graph, name));
  net.conv("conv2", net.last, 4, 4);
  const Graph deeper = quantized(net.finish(), {8, 8});
  for (const char* name : {"conv1", "gate", "product"}) EXPECT_TRUE(is_quantized(deeper, name));
}

TEST(quantize_types, what_only_concat_reads_has_the_scale_of_the_result) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId a = net.relu("relu_a", net.conv("conv_a", net.last, 3, 4));
  const ValueId b = net.relu("relu_b", net.conv("conv_b", a, 4, 4));
  const ValueId c = net.relu("relu_c", net.conv("conv_c", a, 4, 4, 1));
  Node concat{.op = "Concat", .name = "both", .inputs = {b, c}};
  concat.attributes.set("axis", int64_t{1});
  net.add(std::move(concat));
  net.conv("conv_d", net.last, 8, 4);
  const Graph graph = quantized(net.finish(), {8, 8});
  const auto quant = [&](const char* name) { return value_named(graph, name).type.quant; };
  ASSERT_TRUE(quant("both"));
  EXPECT_EQ(quant("relu_b"), quant("both"));
  EXPECT_EQ(quant("relu_c"), quant("both"));
  EXPECT_NE(quant("relu_a"), quant("both"));
}

TEST(quantize_types, a_single_number_as_operand_is_exact) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId relu = net.relu("relu1", net.conv("conv1", net.last, 3, 4));
  const ValueId factor = net.constant("factor", Tensor::scalar(-0.37F));
  net.add({.op = "Mul", .name = "product", .inputs = {relu, factor}});
  net.conv("conv2", net.last, 4, 4);
  const Graph graph = quantized(net.finish(), {8, 8});
  const Value& scalar = value_named(graph, "factor");
  ASSERT_TRUE(scalar.type.quant);
  EXPECT_FLOAT_EQ(dequantize_tensor(scalar.data, *scalar.type.quant).data<float>()[0], -0.37F);
}

}  // namespace
}  // namespace nibble
