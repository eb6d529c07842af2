// Products that are rewritten for quantization compute what they did, and all become layers.
#include <gtest/gtest.h>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;

Tensor run(const Graph& graph, const Tensor& input) {
  return compile(graph, {.arithmetic = Arithmetic::f32}).run(std::span(&input, 1))[0].clone();
}

// The prepared graph gives what the graph gave, and its product `name` can be quantized.
void expect_turned(NetworkBuilder& net, const Shape& input, const char* name) {
  Graph graph = net.finish();
  graph.value(graph.inputs[0]).type.shape = input;
  const Graph prepared = prepare_for_quantization(graph);
  const Tensor x = testing::random_tensor(input, 7);
  EXPECT_LE(testing::max_error(run(prepared, x), run(graph, x)), 1e-5) << to_text(prepared);
  EXPECT_EQ(to_text(prepare_for_quantization(prepared)), to_text(prepared));
  bool found = false;
  for (const NodeSupport& node : inspect_nodes(graph)) {
    if (node.node != name) continue;
    found = true;
    EXPECT_TRUE(node.quantizable) << node.reason;
  }
  EXPECT_TRUE(found);
}

TEST(turn_products, a_constant_on_the_left_of_a_matrix) {
  NetworkBuilder net({4, 6});
  const ValueId w = net.constant("w", net.normal({5, 4}, 0.5));
  net.add({.op = "MatMul", .name = "left", .inputs = {w, net.last}});
  expect_turned(net, {4, 6}, "left");
}

TEST(turn_products, a_constant_on_the_left_of_a_batch) {
  NetworkBuilder net({3, 2, 4, 6});
  const ValueId w = net.constant("w", net.normal({2, 5, 4}, 0.5));
  net.add({.op = "MatMul", .name = "left", .inputs = {w, net.last}});
  expect_turned(net, {3, 2, 4, 6}, "left");
}

TEST(turn_products, a_constant_on_the_left_of_a_vector) {
  NetworkBuilder net({4});
  const ValueId w = net.constant("w", net.normal({5, 4}, 0.5));
  net.add({.op = "MatMul", .name = "left", .inputs = {w, net.last}});
  expect_turned(net, {4}, "left");
}

TEST(turn_products, data_that_gemm_transposes) {
  NetworkBuilder net({4, 6});
  const ValueId w = net.constant("w", net.normal({4, 5}, 0.5));
  const ValueId b = net.constant("b", net.normal({5}, 0.5));
  Node gemm{.op = "Gemm", .name = "gemm", .inputs = {net.last, w, b}};
  gemm.attributes.set("transA", int64_t{1});
  gemm.attributes.set("alpha", 0.5F);
  gemm.attributes.set("beta", 3.0F);
  net.add(std::move(gemm));
  expect_turned(net, {4, 6}, "gemm");
}

TEST(turn_products, a_constant_on_the_left_of_gemm_with_any_transposition) {
  for (const int64_t trans_a : {0, 1}) {
    for (const int64_t trans_b : {0, 1}) {
      for (const Shape& addend : {Shape{7}, Shape{5, 1}, Shape{5, 7}, Shape{}}) {
        NetworkBuilder net(trans_b ? Shape{7, 4} : Shape{4, 7});
        const ValueId w = net.constant("w", net.normal(trans_a ? Shape{4, 5} : Shape{5, 4}, 0.5));
        const ValueId c = net.constant("c", net.normal(addend, 0.5));
        Node gemm{.op = "Gemm", .name = "gemm", .inputs = {w, net.last, c}};
        gemm.attributes.set("transA", trans_a);
        gemm.attributes.set("transB", trans_b);
        gemm.attributes.set("beta", 0.25F);
        gemm.attributes.set("alpha", 2.0F);
        net.add(std::move(gemm));
        SCOPED_TRACE(addend.to_string());
        expect_turned(net, trans_b ? Shape{7, 4} : Shape{4, 7}, "gemm");
      }
    }
  }
}

TEST(turn_products, what_gemm_adds_to_rows_or_elements_is_added_behind_it) {
  for (const Shape& addend : {Shape{4, 1}, Shape{4, 5}}) {
    NetworkBuilder net({4, 6});
    const ValueId w = net.constant("w", net.normal({6, 5}, 0.5));
    const ValueId c = net.constant("c", net.normal(addend, 0.5));
    net.add({.op = "Gemm", .name = "gemm", .inputs = {net.last, w, c}});
    expect_turned(net, {4, 6}, "gemm");
  }
}

TEST(turn_products, a_batch_of_weights_is_quantized_per_output_channel_and_runs_on_codes) {
  NetworkBuilder net({-1, 3, 4, 6});
  const ValueId w = net.constant("w", net.normal({3, 6, 5}, 0.5));
  net.add({.op = "MatMul", .name = "deep", .inputs = {net.last, w}});
  const Graph graph = net.finish();
  const testing::Synthetic data(16, {3, 4, 6});
  const RangeReport ranges = analyze(graph, data);
  for (const LayerBits bits : {LayerBits{8, 8}, LayerBits{8, 0}, LayerBits{4, 0}}) {
    const Graph small = quantize(graph, ranges, {.fallback = bits}, {.first_and_last_8bit = false});
    const QuantParams& quant = *small.value(*small.find_value("w")).type.quant;
    EXPECT_EQ(quant.granularity, Granularity::per_channel);
    EXPECT_EQ(quant.axis, 2);
    const Tensor x = testing::random_tensor({2, 3, 4, 6}, 3);
    const auto result = [&](Arithmetic arithmetic) {
      Program program =
          compile(small, {.arithmetic = arithmetic, .input_shapes = {{"x", {2, 3, 4, 6}}}});
      if (arithmetic == Arithmetic::integer) {
        EXPECT_EQ(program.coverage().integer_nodes, bits.activation_bits > 0 ? 1 : 0);
        for (const StepProfile& step : program.profile()) {
          if (step.node == "deep") {
            EXPECT_FALSE(step.kernel.starts_with("eval")) << step.kernel;
            EXPECT_EQ(step.kernel.find("oneDNN"), std::string::npos) << step.kernel;
          }
        }
      }
      return program.run(std::span(&x, 1))[0].clone();
    };
    EXPECT_LE(testing::max_error(result(Arithmetic::integer), result(Arithmetic::fake_quantize)),
              1e-5);
  }
}

}  // namespace
}  // namespace nibble
