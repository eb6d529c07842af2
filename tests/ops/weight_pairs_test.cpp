// Which weights meet in 16 bits, and which of those that meet are safe.
#include "ops/weight_pairs.h"

#include <gtest/gtest.h>

#include <array>

#include "support/networks.h"

namespace nibble {
namespace {

using Pair = std::array<int64_t, 3>;  // output channel, first element, second element

std::vector<Pair> pairs_of(const WeightPairs& pairs) {
  std::vector<Pair> found;
  pairs.for_each([&](int64_t output, int64_t first, int64_t second) {
    found.push_back({output, first, second});
  });
  return found;
}

Node conv(int64_t group = 1, const char* op = "Conv") {
  Node node{.op = op, .name = "conv"};
  node.attributes.set("group", group);
  return node;
}

TEST(pair_sum, is_safe_exactly_where_16_bits_hold_the_sum_for_all_data) {
  for (const int32_t greatest : {255, 254, 200, 128, 127, 63, 15, 3, 0}) {
    for (int32_t a = -128; a <= 127; ++a) {
      for (int32_t b = -128; b <= 127; ++b) {
        // A sum is largest and smallest where each datum is either end.
        int32_t least = 0, most = 0;
        for (const int32_t x : {0, greatest}) {
          for (const int32_t y : {0, greatest}) {
            least = std::min(least, a * x + b * y);
            most = std::max(most, a * x + b * y);
          }
        }
        // One number on both sides: -32768, which 16 bits hold, counts as too low.
        const bool fits = least >= -32767 && most <= 32767;
        EXPECT_EQ(is_safe(pair_sum(a, b), greatest), fits) << greatest << ' ' << a << ' ' << b;
      }
    }
  }
}

TEST(weight_pairs, of_a_convolution_run_over_the_kernel_with_channels_fastest) {
  // [O=2, I=3, 1, 2]: element = o * 6 + i * 2 + x.
  EXPECT_EQ(
      pairs_of({conv(), {2, 3, 1, 2}, PairOrder::flattened}),
      (std::vector<Pair>{{0, 0, 2}, {0, 4, 1}, {0, 3, 5}, {1, 6, 8}, {1, 10, 7}, {1, 9, 11}}));
  EXPECT_EQ(pairs_of({conv(), {1, 3, 1, 1}, PairOrder::flattened}),
            (std::vector<Pair>{{0, 0, 1}, {0, 2, -1}}));
}

TEST(weight_pairs, per_position_do_not_cross_to_the_next_position) {
  EXPECT_EQ(pairs_of({conv(), {1, 3, 1, 2}, PairOrder::per_position}),
            (std::vector<Pair>{{0, 0, 2}, {0, 4, -1}, {0, 1, 3}, {0, 5, -1}}));
  const Shape even{3, 4, 3, 3};
  EXPECT_EQ(pairs_of({conv(), even, PairOrder::per_position}),
            pairs_of({conv(), even, PairOrder::flattened}));
}

TEST(weight_pairs, of_groups_stay_within_them_and_depthwise_has_none) {
  EXPECT_EQ(pairs_of({conv(2), {2, 2, 1, 1}, PairOrder::flattened}),
            (std::vector<Pair>{{0, 0, 1}, {1, 2, 3}}));
  EXPECT_TRUE(pairs_of({conv(4), {4, 1, 3, 3}, PairOrder::flattened}).empty());
  // Two output channels a group: other runtimes compute it as a matrix product.
  EXPECT_EQ(pairs_of({conv(2), {4, 1, 1, 2}, PairOrder::flattened}).size(), 4U);
}

TEST(weight_pairs, of_a_matrix_run_along_the_reduction) {
  EXPECT_EQ(pairs_of({Node{.op = "MatMul"}, {3, 2}, PairOrder::flattened}),
            (std::vector<Pair>{{0, 0, 2}, {0, 4, -1}, {1, 1, 3}, {1, 5, -1}}));
  EXPECT_EQ(pairs_of({Node{.op = "MatMul"}, {2, 2, 1}, PairOrder::per_position}),
            (std::vector<Pair>{{0, 0, 1}, {0, 2, 3}}));
  Node transposed{.op = "Gemm"};
  transposed.attributes.set("transB", int64_t{1});
  EXPECT_EQ(pairs_of({transposed, {2, 3}, PairOrder::flattened}),
            (std::vector<Pair>{{0, 0, 1}, {0, 2, -1}, {1, 3, 4}, {1, 5, -1}}));
}

TEST(weight_pairs, of_a_transposed_convolution_are_those_of_its_inputs_at_a_position) {
  // [I=4, O/g=1, 1, 2] in two groups: element = i * 2 + x.
  EXPECT_EQ(pairs_of({conv(2, "ConvTranspose"), {4, 1, 1, 2}, PairOrder::per_position}),
            (std::vector<Pair>{{0, 0, 2}, {0, 1, 3}, {1, 4, 6}, {1, 5, 7}}));
  EXPECT_TRUE(pairs_of({conv(1, "ConvTranspose"), {4, 1, 1, 2}, PairOrder::flattened}).empty());
}

TEST(weight_pairs, are_counted_with_the_worst_among_them) {
  const WeightPairs pairs(Node{.op = "MatMul"}, {5, 1}, PairOrder::flattened);
  const std::vector<int32_t> codes = {100, 28, -100, -29, 127};
  const UnsafePairs found = count_unsafe_pairs(pairs, codes, 255);
  EXPECT_EQ(found.pairs, 3);
  EXPECT_EQ(found.unsafe, 1);
  EXPECT_EQ(found.worst, 129);
  EXPECT_EQ(count_unsafe_pairs(pairs, codes, 253).unsafe, 0);  // 129 * 253 = 32,637
}

TEST(weight_pairs, matter_to_layers_that_multiply_codes) {
  for (const char* op : {"Conv", "ConvTranspose", "Gemm", "MatMul"}) {
    EXPECT_TRUE(multiplies_codes({.op = op})) << op;
  }
  for (const char* op : {"Gather", "LSTM", "DeformConv", "Einsum", "Relu", "Add"}) {
    EXPECT_FALSE(multiplies_codes({.op = op})) << op;
  }
}

TEST(greatest_code, is_what_a_clip_leaves_of_a_wider_grid) {
  testing::NetworkBuilder net({1, 2, 4, 4});
  const ValueId low = net.constant("low", Tensor::of<float>({}, {0.0F}));
  const ValueId high = net.constant("high", Tensor::of<float>({}, {6.0F}));
  const ValueId clip = net.add({.op = "Clip", .name = "clip", .inputs = {net.last, low, high}});
  Node pool{.op = "MaxPool", .name = "pool", .inputs = {clip}};
  pool.attributes.set("kernel_shape", std::vector<int64_t>{2, 2});
  const ValueId pooled = net.add(std::move(pool));
  const ValueId relu = net.add({.op = "Relu", .name = "relu", .inputs = {pooled}});
  const Graph graph = net.finish();
  EXPECT_EQ(greatest_real(graph, clip), 6.0F);
  EXPECT_EQ(greatest_real(graph, pooled), 6.0F);
  EXPECT_EQ(greatest_real(graph, relu), std::nullopt);  // its own bound is none
  EXPECT_EQ(greatest_real(graph, graph.inputs[0]), std::nullopt);
  QuantParams grid{.storage = DType::u8, .qmin = 0, .qmax = 255};
  grid.scale = {0.1F};
  grid.zero_point = {20};
  EXPECT_EQ(greatest_code(grid, 6.0F), 80);
  EXPECT_EQ(greatest_code(grid, 60.0F), 255);
  EXPECT_EQ(greatest_code(grid, -1.0F), 20);  // padding is zero
  EXPECT_EQ(greatest_code(grid, std::nullopt), 255);
}

}  // namespace
}  // namespace nibble
