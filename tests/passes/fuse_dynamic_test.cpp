#include "helpers.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;
using testing::check_pass;
using testing::count_ops;

// The data quantized while running: codes, scale, zero point.
struct Quantized {
  ValueId codes, scale, zero_point;
};

Quantized quantize(Builder& b, ValueId data) {
  const Quantized parts{b.graph.add_value("codes", {}), b.graph.add_value("scale", {}),
                        b.graph.add_value("zero", {})};
  b.graph.add_node({.op = "DynamicQuantizeLinear",
                    .name = "quantize",
                    .inputs = {data},
                    .outputs = {parts.codes, parts.scale, parts.zero_point}});
  return parts;
}

// Cast, the scales, and the bias if there is one.
ValueId rescale(Builder& b, ValueId sums, const Quantized& data, ValueId weight_scale,
                ValueId bias) {
  const ValueId reals = b.node("Cast", {sums}, "reals", attributes({{"to", int64_t{1}}}));
  const ValueId scale = b.node("Mul", {data.scale, weight_scale}, "scales");
  const ValueId scaled = b.node("Mul", {reals, scale}, "scaled");
  return bias ? b.node("Add", {scaled, bias}, "sum") : scaled;
}

Builder conv() {
  Builder b;
  const Quantized data = quantize(b, b.input("x", {2, 2, 4, 5}));
  const ValueId w =
      b.constant<int8_t>("w", {3, 2, 1, 2}, {1, -2, 3, 4, 5, 6, -7, 8, 9, 10, 11, -12});
  const ValueId sums = b.node("ConvInteger", {data.codes, w, data.zero_point}, "sums",
                              attributes({{"pads", std::vector<int64_t>{0, 1, 0, 0}}}));
  const ValueId scale = b.constant<float>("w_scale", {3, 1, 1}, {0.1F, 0.2F, 0.3F});
  const ValueId bias = b.constant<float>("bias", {3, 1, 1}, {1, -1, 0.5F});
  b.output(rescale(b, sums, data, scale, bias));
  return b;
}

TEST(fuse_dynamic, a_convolution_with_scales_and_bias_becomes_one_node) {
  Builder b = conv();
  EXPECT_EQ(check_pass(b.graph, fuse_dynamic, 0), 1);
  EXPECT_EQ(b.graph.nodes().size(), 1U);
  EXPECT_EQ(b.graph.node(b.graph.nodes()[0]).inputs.size(), 4U);
}

TEST(fuse_dynamic, a_matrix_product_with_a_zero_point_and_no_bias_becomes_one_node) {
  Builder b;
  const Quantized data = quantize(b, b.input("x", {2, 3, 4}));
  const ValueId w = b.constant<uint8_t>("w", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const ValueId zero = b.constant<uint8_t>("w_zero", {}, {4});
  const ValueId sums = b.node("MatMulInteger", {data.codes, w, data.zero_point, zero}, "sums");
  b.output(rescale(b, sums, data, b.constant<float>("w_scale", {}, {0.1F}), {}));
  EXPECT_EQ(check_pass(b.graph, fuse_dynamic, 0), 1);
  EXPECT_EQ(b.graph.nodes().size(), 1U);
}

TEST(fuse_dynamic, layers_that_read_the_same_data_are_fused_each) {
  Builder b;
  const Quantized data = quantize(b, b.input("x", {3, 2}));
  const ValueId scale = b.constant<float>("w_scale", {1, 2}, {0.1F, 0.2F});
  for (const char* name : {"a", "b"}) {
    const std::string stem = name;
    const ValueId w = b.constant<int8_t>(stem + "_w", {2, 2}, {1, 2, -3, 4});
    const ValueId sums = b.node("MatMulInteger", {data.codes, w, data.zero_point}, stem + "_sums");
    const ValueId reals = b.node("Cast", {sums}, stem + "_reals", attributes({{"to", int64_t{1}}}));
    b.output(b.node("Mul", {b.node("Mul", {scale, data.scale}, stem + "_scales"), reals}, stem));
  }
  EXPECT_EQ(check_pass(b.graph, fuse_dynamic, 0), 2);
  EXPECT_EQ(count_ops(b.graph, "DynamicQuantizeLinear"), 0);
}

TEST(fuse_dynamic, what_others_read_or_what_is_scaled_otherwise_stays) {
  Builder sums_read = conv();
  sums_read.output(*sums_read.graph.find_value("sums"));
  EXPECT_EQ(check_pass(sums_read.graph, fuse_dynamic, 0), 0);
  Builder reals_read = conv();
  reals_read.output(*reals_read.graph.find_value("reals"));
  EXPECT_EQ(check_pass(reals_read.graph, fuse_dynamic, 0), 0);
  Builder along_width;  // one scale per column of the image, not per channel
  const Quantized data = quantize(along_width, along_width.input("x", {1, 1, 3, 3}));
  const ValueId w = along_width.constant<int8_t>("w", {3, 1, 1, 1}, {1, 2, 3});
  const ValueId sums = along_width.node("ConvInteger", {data.codes, w, data.zero_point}, "sums");
  const ValueId scale = along_width.constant<float>("w_scale", {3}, {0.1F, 0.2F, 0.3F});
  along_width.output(rescale(along_width, sums, data, scale, {}));
  EXPECT_EQ(check_pass(along_width.graph, fuse_dynamic, 0), 0);
}

TEST(fuse_dynamic, an_addend_that_is_no_bias_is_added_behind_the_node) {
  Builder b = conv();
  b.graph.value(*b.graph.find_value("bias")).data =
      Tensor::of<float>({1, 1, 6}, {1, 2, 3, 4, 5, 6});
  b.graph.value(*b.graph.find_value("bias")).type.shape = {1, 1, 6};
  b.graph.value(*b.graph.find_value("x")).type.shape = {2, 2, 4, 6};
  EXPECT_EQ(check_pass(b.graph, fuse_dynamic, 0), 1);
  EXPECT_EQ(count_ops(b.graph, "Add"), 1);
}

}  // namespace
}  // namespace nibble
