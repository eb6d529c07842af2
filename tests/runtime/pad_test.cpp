// Pad writes a number of its own among those it moves: in a quantized graph, the nearest code.
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/graphs.h"

namespace nibble {
namespace {

using test::Builder;
using test::per_tensor;
using test::run_graph;

// The border of Pad({1, 2}) with one more element in front.
float border(std::optional<QuantParams> in, std::optional<QuantParams> out,
             ValueId (*value)(Builder&), Arithmetic arithmetic) {
  Builder b;
  const ValueId x = b.input("x", {1, 2}, std::move(in));
  const ValueId y = b.op("Pad", {x, b.integers({0, 1, 0, 0}), value(b)}, {}, std::move(out));
  const Graph graph = b.finish({y});
  const Tensor input = Tensor::of<float>({1, 2}, {1.0F, 0.5F});
  return run_graph(graph, {input}, {.arithmetic = arithmetic, .optimize = false})[0]
      .data<float>()[0];
}

ValueId number(Builder& b, float value) { return b.constant(Tensor::scalar(value)); }

constexpr Arithmetic kBoth[] = {Arithmetic::integer, Arithmetic::fake_quantize};

TEST(pad, a_number_between_two_codes_becomes_the_nearest) {
  for (const Arithmetic arithmetic : kBoth) {
    EXPECT_FLOAT_EQ(border(
                        per_tensor(0.1F, 128), per_tensor(0.1F, 128),
                        [](Builder& b) { return number(b, 0.33F); }, arithmetic),
                    0.1F * 3);
  }
}

TEST(pad, a_number_beyond_the_range_becomes_the_last_code) {
  for (const Arithmetic arithmetic : kBoth) {
    for (const DType storage : {DType::u8, DType::i8}) {
      const QuantParams grid = per_tensor(0.1F, storage == DType::u8 ? 128 : 0, storage);
      EXPECT_FLOAT_EQ(border(
                          grid, grid, [](Builder& b) { return number(b, -100.0F); }, arithmetic),
                      0.1F * -128);
    }
  }
}

TEST(pad, a_quantized_constant_is_the_number_that_it_stands_for) {
  for (const Arithmetic arithmetic : kBoth) {
    EXPECT_FLOAT_EQ(border(
                        per_tensor(0.1F, 128), per_tensor(0.1F, 128),
                        [](Builder& b) {
                          return b.graph.add_constant("value", Tensor::of<uint8_t>({}, {40}),
                                                      per_tensor(0.05F, 100));
                        },
                        arithmetic),
                    0.1F * -30);
  }
}

TEST(pad, a_result_without_a_type_has_the_number_itself) {
  for (const Arithmetic arithmetic : kBoth) {
    EXPECT_FLOAT_EQ(border(
                        per_tensor(0.1F, 128), std::nullopt,
                        [](Builder& b) { return number(b, 0.33F); }, arithmetic),
                    0.33F);
  }
}

TEST(pad, a_result_on_another_grid_is_rounded_to_that) {
  for (const Arithmetic arithmetic : kBoth) {
    EXPECT_FLOAT_EQ(border(
                        per_tensor(0.1F, 128), per_tensor(0.07F, 30),
                        [](Builder& b) { return number(b, 0.33F); }, arithmetic),
                    0.07F * 5);
  }
}

TEST(pad, a_number_computed_while_running_is_rounded_too) {
  for (const Arithmetic arithmetic : kBoth) {
    Builder b;
    const QuantParams grid = per_tensor(0.1F, 128);
    const ValueId x = b.input("x", {1, 2}, grid);
    const ValueId value = b.op("Neg", {b.input("value", {})});
    const ValueId y = b.op("Pad", {x, b.integers({0, 1, 0, 0}), value}, {}, grid);
    const std::vector<Tensor> inputs = {Tensor::of<float>({1, 2}, {1.0F, 0.5F}),
                                        Tensor::scalar(-0.33F)};
    const Tensor got =
        run_graph(b.finish({y}), inputs, {.arithmetic = arithmetic, .optimize = false})[0];
    EXPECT_FLOAT_EQ(got.data<float>()[0], 0.1F * 3);
  }
}

// Zero lies on every grid, but is not code 0.
TEST(center_crop_pad, its_zeros_are_zero) {
  for (const Arithmetic arithmetic : kBoth) {
    Builder b;
    const ValueId x = b.input("x", {1, 2}, per_tensor(0.1F, 100));
    const ValueId y = b.op("CenterCropPad", {x, b.integers({1, 4})}, {}, per_tensor(0.1F, 100));
    const Tensor input = Tensor::of<float>({1, 2}, {1.0F, 0.5F});
    const Tensor got = run_graph(b.finish({y}), {input}, {.arithmetic = arithmetic})[0];
    EXPECT_EQ(got.data<float>()[0], 0);
    EXPECT_FLOAT_EQ(got.data<float>()[1], 1.0F);
    EXPECT_EQ(got.data<float>()[3], 0);
  }
}

}  // namespace
}  // namespace nibble
