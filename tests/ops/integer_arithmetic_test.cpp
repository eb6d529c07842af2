// Integer arithmetic against f64, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "nibble/error.h"
#include "ops/op_case.h"

namespace nibble::testing {
namespace {

using Ints = std::vector<int64_t>;

Tensor random_codes(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::u8, shape);
  Random random(seed);
  for (uint8_t& code : tensor.data<uint8_t>()) code = static_cast<uint8_t>(random.below(256));
  return tensor;
}

Tensor real(const Tensor& codes, int32_t zero) {
  Tensor result(DType::f64, codes.shape());
  for (size_t i = 0; i < codes.data<uint8_t>().size(); ++i) {
    result.data<double>()[i] = codes.data<uint8_t>()[i] - zero;
  }
  return result;
}

// Every integer below 2^53 is exact in double: Conv in f64 is the judge.
TEST(conv_integer, equals_a_convolution_in_double_for_awkward_geometries) {
  struct Geometry {
    Shape data, weight;
    std::vector<std::pair<std::string, Attribute>> attributes;
  };
  const std::vector<Geometry> geometries = {
      {{2, 4, 7, 9},
       {6, 2, 3, 2},
       {{"group", int64_t{2}}, {"strides", Ints{2, 3}}, {"pads", Ints{1, 0, 2, 1}}}},
      {{1, 3, 8, 8},
       {5, 3, 3, 3},
       {{"dilations", Ints{2, 1}}, {"auto_pad", std::string("SAME_UPPER")}}},
      {{1, 2, 11}, {3, 2, 4}, {{"strides", Ints{3}}, {"pads", Ints{3, 3}}}},
      {{1, 1, 4, 5, 6}, {2, 1, 2, 3, 2}, {{"pads", Ints{0, 1, 1, 1, 0, 0}}}},
      {{1, 4, 5, 5}, {4, 1, 1, 1}, {{"group", int64_t{4}}, {"strides", Ints{2, 2}}}},
  };
  for (const Geometry& geometry : geometries) {
    const Tensor x = random_codes(geometry.data, 1);
    const Tensor w = random_codes(geometry.weight, 2);
    const Tensor exact =
        evaluate({"Conv", {real(x, 100), real(w, 7)}, {Tensor()}, geometry.attributes})[0];
    expect_case({"ConvInteger",
                 {x, w, u8({}, {100}), u8({}, {7})},
                 {convert(exact, DType::i32)},
                 geometry.attributes});
  }
}

TEST(matmul_integer, broadcasts_batches_like_matmul) {
  const Tensor a = random_codes({2, 1, 5, 33}, 3);
  const Tensor b = random_codes({3, 33, 17}, 4);
  const Tensor exact = evaluate({"MatMul", {real(a, 3), real(b, 250)}, {Tensor()}})[0];
  expect_case({"MatMulInteger", {a, b, u8({}, {3}), u8({}, {250})}, {convert(exact, DType::i32)}});
}

TEST(quantize_linear, scales_that_do_not_fit_are_refused) {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_THROW(infer({"QuantizeLinear", {x, f32({2}, {1, 1})}, {Tensor()}}), Error);
  EXPECT_THROW(evaluate({"QuantizeLinear", {x, f32({3}, {1, 1, 1}), u8({2}, {0, 0})}, {Tensor()}}),
               Error);
  EXPECT_THROW(evaluate({"QuantizeLinear",
                         {x, f32({2, 2}, {1, 1, 1, 1})},
                         {Tensor()},
                         {{"block_size", int64_t{1}}}}),
               Error);
}

TEST(matmul_integer, a_sum_that_may_overflow_is_refused) {
  const Tensor a(DType::u8, {1, 40000});
  Tensor b(DType::u8, {40000, 1});
  EXPECT_EQ(evaluate({"MatMulInteger", {a, b}, {Tensor()}})[0].data<int32_t>()[0], 0);
  std::ranges::fill(b.data<uint8_t>(), uint8_t{255});  // what the data are does not matter
  EXPECT_THROW(evaluate({"MatMulInteger", {a, b}, {Tensor()}}), Error);
}

}  // namespace
}  // namespace nibble::testing
