// Dynamic quantization runs on packed kernels, with the bits of the operators it is written in.
#include <gtest/gtest.h>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/isa.h"
#include "support/networks.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;

// Every layer runs by a packed kernel, and the result has the bits of the plain operators.
void expect_same_bits(const Graph& graph, const Shape& input, int layers) {
  const Graph small = quantize(graph, {}, {}, {.dynamic = true});
  const Tensor x = testing::random_tensor(input, 11);
  CompileOptions options{.input_shapes = {{"x", input}}};
  options.optimize = false;
  const Tensor expected = compile(small, options).run(std::span(&x, 1))[0].clone();
  options.optimize = true;
  testing::with_each_isa([&] {
    for (const int threads : {1, 3}) {
      options.threads = threads;
      Program program = compile(small, options);
      int packed = 0;
      for (const StepProfile& step : program.profile()) {
        packed += step.kernel.starts_with("dynamic ") ? 1 : 0;
      }
      EXPECT_EQ(packed, layers);
      EXPECT_TRUE(testing::same_bytes(program.run(std::span(&x, 1))[0], expected));
    }
  });
}

TEST(dynamic_layers, convolutions_of_all_kinds_run_packed) {
  NetworkBuilder net({-1, 3, 9, 7});
  net.conv("first", net.last, 3, 8);
  net.relu("relu", net.last);
  const auto weighted = [&](const std::string& name, const Shape& shape, Attributes attributes) {
    const ValueId w = net.constant(name + "_w", net.normal(shape, 0.3));
    Node node{.op = "Conv", .name = name, .inputs = {net.last, w}};
    node.attributes = std::move(attributes);
    net.add(std::move(node));
  };
  Attributes depthwise;
  depthwise.set("group", int64_t{8});
  depthwise.set("pads", std::vector<int64_t>{1, 1, 1, 1});
  weighted("depthwise", {8, 1, 3, 3}, depthwise);
  Attributes grouped;
  grouped.set("group", int64_t{2});
  grouped.set("strides", std::vector<int64_t>{2, 1});
  grouped.set("pads", std::vector<int64_t>{0, 1, 2, 1});
  weighted("grouped", {6, 4, 3, 3}, grouped);
  weighted("pointwise", {5, 6, 1, 1}, {});
  expect_same_bits(net.finish(), {2, 3, 9, 7}, 4);
}

TEST(dynamic_layers, matrix_products_run_packed) {
  NetworkBuilder net({-1, 5, 13});
  const ValueId w = net.constant("w", net.normal({13, 19}, 0.3));
  net.add({.op = "MatMul", .name = "first", .inputs = {net.last, w}});
  const ValueId v = net.constant("v", net.normal({19, 4}, 0.3));
  net.add({.op = "MatMul", .name = "second", .inputs = {net.last, v}});
  expect_same_bits(net.finish(), {3, 5, 13}, 2);
}

TEST(dynamic_layers, gemm_with_bias_and_relu_runs_packed) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({8, 12}, 0.3));
  const ValueId b = net.constant("b", net.normal({8}, 0.3));
  Node gemm{.op = "Gemm", .name = "gemm", .inputs = {net.last, w, b}};
  gemm.attributes.set("transB", int64_t{1});
  net.add(std::move(gemm));
  net.relu("relu", net.last);
  expect_same_bits(net.finish(), {4, 12}, 1);
}

}  // namespace
}  // namespace nibble
