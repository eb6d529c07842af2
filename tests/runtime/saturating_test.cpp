// Programs in the arithmetic of x86 CPUs without VNNI.
#include <gtest/gtest.h>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

std::vector<float> run(const Graph& graph, const Tensor& x, Arithmetic arithmetic) {
  Program program = compile(graph, {.arithmetic = arithmetic, .input_shapes = {{"x", x.shape()}}});
  const std::span<const float> out = program.run(std::span(&x, 1))[0].data<float>();
  return {out.begin(), out.end()};
}

// x [1,4] times weights of 127 each, on a grid where x = 1 is code 255.
Graph product(DType data, DType weight, bool left_in_pairs = true) {
  NetworkBuilder net({1, 4});
  QuantParams grid{
      .storage = data, .qmin = data == DType::u8 ? 0 : -128, .qmax = data == DType::u8 ? 255 : 127};
  grid.scale = {1.0F / 255};
  grid.zero_point = {data == DType::u8 ? 0 : -128};
  net.graph.value(net.last).type.quant = grid;
  QuantParams codes{.storage = weight,
                    .qmin = weight == DType::i8 ? -127 : 0,
                    .qmax = weight == DType::i8 ? 127 : 255};
  codes.scale = {1};
  codes.zero_point = {weight == DType::i8 ? 0 : 128};
  const Tensor real =
      Tensor::of<float>({4, 1}, std::vector<float>(4, left_in_pairs ? 127.0F : 64.0F));
  const ValueId w = net.graph.add_constant("w", quantize_tensor(real, codes), codes);
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  return net.finish();
}

TEST(saturating16, halves_a_pair_of_largest_products) {
  const Tensor ones = Tensor::of<float>({1, 4}, {1, 1, 1, 1});
  const Graph graph = product(DType::u8, DType::i8);
  EXPECT_FLOAT_EQ(run(graph, ones, Arithmetic::integer)[0], 508);
  EXPECT_FLOAT_EQ(run(graph, ones, Arithmetic::saturating16)[0], 2 * 32767 / 255.0F);
}

TEST(saturating16, leaves_safe_pairs_signed_data_and_unsigned_weights_alone) {
  const Tensor ones = Tensor::of<float>({1, 4}, {1, 1, 1, 1});
  for (const Graph& graph : {product(DType::u8, DType::i8, false), product(DType::i8, DType::i8),
                             product(DType::u8, DType::u8)}) {
    EXPECT_EQ(run(graph, ones, Arithmetic::saturating16), run(graph, ones, Arithmetic::integer));
  }
}

// Quantized networks, pair-safe and not, static and dynamic.
TEST(saturating16, gives_the_integers_of_exact_sums_where_quantization_was_pair_safe) {
  int lossy = 0;
  for (const uint64_t seed : {1, 2, 3, 4}) {
    NetworkBuilder net({-1, 3, 6, 6}, seed);
    net.relu("relu1", net.conv("conv1", net.last, 3, 5));
    net.relu("relu2", net.conv("conv2", net.last, 5, 6));
    net.conv("conv3", net.last, 6, 4, 1);
    Graph graph = net.finish();
    for (const char* name : {"conv1_w", "conv2_w", "conv3_w"}) {
      for (float& w : graph.value(*graph.find_value(name)).data.data<float>()) {
        w = std::copysign(0.2F, w);
      }
    }
    const Synthetic images(32, {3, 6, 6});
    const Tensor batch = read_batch(images, 0, 16, 1)[0];
    const RangeReport ranges = analyze(graph, images);
    for (const bool safe : {true, false}) {
      const Graph result =
          quantize(graph, ranges, {.fallback = {8, 8}, .layers = {}}, {.pair_safe = safe});
      const bool same =
          run(result, batch, Arithmetic::saturating16) == run(result, batch, Arithmetic::integer);
      EXPECT_TRUE(same || !safe) << seed;
      lossy += same ? 0 : 1;
    }
  }
  EXPECT_GT(lossy, 0);
}

TEST(saturating16, of_dynamic_layers_takes_matrix_products_and_not_convolutions) {
  const auto differs = [](Graph graph, const Shape& sample, bool safe) {
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      Value& value = graph.value({i});
      if (!value.is_constant() || value.type.shape.rank() < 2) continue;
      for (float& w : value.data.data<float>()) w = std::copysign(0.2F, w);
    }
    const Synthetic samples(8, sample);
    const Tensor batch = read_batch(samples, 0, 8, 1)[0];
    const Graph result = quantize(graph, {}, {.fallback = {8, 8}, .layers = {}},
                                  {.dynamic = true, .pair_safe = safe});
    return run(result, batch, Arithmetic::saturating16) != run(result, batch, Arithmetic::integer);
  };
  EXPECT_TRUE(differs(testing::perceptron(), {12}, false));
  EXPECT_FALSE(differs(testing::perceptron(), {12}, true));
  EXPECT_FALSE(differs(testing::three_convs(), {3, 6, 6}, false));
}

}  // namespace
}  // namespace nibble
