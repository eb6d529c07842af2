// The table of targets, and insert_qdq by its rows.
#include "nibble/target.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "passes/insert_qdq.h"

namespace nibble {
namespace {

QuantParams codes(DType storage, int32_t qmin, int32_t qmax, int32_t zero_point = 0) {
  return {
      .storage = storage, .qmin = qmin, .qmax = qmax, .scale = {0.5F}, .zero_point = {zero_point}};
}

// y = x w + b, with the types given.
Graph layer(const std::optional<QuantParams>& data, const QuantParams& weight) {
  Graph graph;
  graph.opsets[""] = 21;
  const ValueId x = graph.add_value("x", {.dtype = DType::f32, .shape = {-1, 4}, .quant = data});
  const ValueId w = graph.add_constant(
      "w", pack_integers(weight.storage, {4, 2}, std::vector<int32_t>(8, 1)), weight);
  const QuantParams bias{
      .storage = DType::i32, .qmin = -100, .qmax = 100, .scale = {0.25F}, .zero_point = {0}};
  const ValueId b =
      graph.add_constant("b", pack_integers(DType::i32, {2}, std::vector<int32_t>(2, 3)), bias);
  const ValueId y = graph.add_value("y", {.dtype = DType::f32, .shape = {-1, 2}, .quant = {}});
  graph.inputs = {x};
  graph.outputs = {y};
  graph.add_node({.op = "Gemm", .name = "fc", .inputs = {x, w, b}, .outputs = {y}});
  return graph;
}

int stored_bits(Graph graph, const Target& target) {
  insert_qdq(graph, target);
  return bits_of(graph.value(*graph.find_value("w_quantized")).type.dtype);
}

TEST(target, every_row_is_found_by_its_name_and_says_what_it_is) {
  ASSERT_FALSE(targets().empty());
  EXPECT_EQ(default_target().name, "onnxruntime");
  for (const Target& target : targets()) {
    EXPECT_EQ(&find_target(target.name), &target);
    EXPECT_FALSE(target.title.empty());
    EXPECT_FALSE(target.summary.empty());
    EXPECT_LE(target.least_weight_bits, target.least_unblocked_weight_bits);
    EXPECT_LE(target.least_unblocked_weight_bits, 8);
  }
  EXPECT_THROW(find_target("onnx"), Error);
}

TEST(target, weights_are_stored_in_the_least_bits_that_the_row_allows) {
  for (const Target& target : targets()) {
    for (const int bits : {2, 4, 8}) {
      const DType storage = bits == 2 ? DType::i2 : bits == 4 ? DType::i4 : DType::i8;
      const QuantParams whole = codes(storage, -(1 << (bits - 1)), (1 << (bits - 1)) - 1);
      EXPECT_EQ(stored_bits(layer({}, whole), target),
                std::max(bits, target.least_unblocked_weight_bits));
      QuantParams blocks = whole;
      blocks.granularity = Granularity::per_block;
      blocks.axis = 0;
      blocks.block_size = 2;
      blocks.scale.assign(4, 0.5F);
      blocks.zero_point.assign(4, 0);
      EXPECT_EQ(stored_bits(layer({}, blocks), target), std::max(bits, target.least_weight_bits));
    }
  }
}

TEST(target, biases_are_written_as_the_row_says) {
  for (const Target& target : targets()) {
    Graph graph = layer(codes(DType::i8, -127, 127), codes(DType::i8, -127, 127));
    insert_qdq(graph, target);
    const Value& bias = graph.value(*graph.find_value("b"));
    EXPECT_EQ(bias.is_constant(), !target.integer_bias) << target.name;
    if (bias.is_constant()) {
      EXPECT_EQ(bias.data.data<float>()[0], 0.75F);
    }
  }
}

TEST(target, what_a_runtime_does_not_have_is_refused_in_a_sentence) {
  const QuantParams weight = codes(DType::i8, -127, 127);
  const Graph asymmetric = layer(codes(DType::u8, 0, 255, 7), weight);
  const Graph symmetric = layer(codes(DType::i8, -127, 127), weight);
  const Graph wide = layer(codes(DType::i16, -32767, 32767), weight);
  for (const Target& target : targets()) {
    EXPECT_FALSE(why_not_written(symmetric, target)) << target.name;
    const auto reason = why_not_written(asymmetric, target);
    EXPECT_EQ(reason.has_value(), target.symmetric_activations) << target.name;
    if (reason) {
      EXPECT_NE(reason->find("'x'"), std::string::npos) << *reason;
    }
    EXPECT_EQ(why_not_written(wide, target).has_value(), target.most_bits < 16) << target.name;
  }
}

}  // namespace
}  // namespace nibble
