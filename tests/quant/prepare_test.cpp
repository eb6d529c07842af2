#include <gtest/gtest.h>

#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "ranges/canonical.h"
#include "support/networks.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;

TEST(prepare, is_idempotent_and_keeps_the_batch_dynamic) {
  const Graph once = prepare_for_quantization(testing::residual());
  EXPECT_EQ(to_text(prepare_for_quantization(once)), to_text(once));
  EXPECT_EQ(once.value(once.inputs[0]).type.shape[0], Shape::kUnknown);
}

TEST(prepare, gemm_factors_go_into_the_constants) {
  Graph graph = testing::perceptron();
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).op != "Gemm") continue;
    graph.node(id).attributes.set("alpha", 0.5F);
    graph.node(id).attributes.set("beta", 3.0F);
  }
  const Graph prepared = prepare_for_quantization(graph);
  const Tensor batch = Tensor::of<float>({1, 12}, std::vector<float>(12, 0.7F));
  const Tensor a = compile(graph).run(std::span(&batch, 1))[0].clone();
  const Tensor b = compile(prepared).run(std::span(&batch, 1))[0].clone();
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(a.data<float>()[i], b.data<float>()[i], 1e-5);
  for (const NodeId id : prepared.nodes()) EXPECT_TRUE(prepared.node(id).attributes.empty());
}

TEST(prepare, a_reshape_to_the_batch_of_its_data_becomes_constant) {
  NetworkBuilder net({-1, 3, 2, 2});
  const ValueId x = net.last;
  const ValueId shape = net.add({.op = "Shape", .name = "shape", .inputs = {x}});
  const ValueId zero = net.constant("zero", Tensor::of<int64_t>({1}, {0}));
  const ValueId batch = net.add({.op = "Gather", .name = "batch", .inputs = {shape, zero}});
  const ValueId rest = net.constant("rest", Tensor::of<int64_t>({1}, {12}));
  Node concat{.op = "Concat", .name = "target", .inputs = {batch, rest}};
  concat.attributes.set("axis", int64_t{0});
  const ValueId target = net.add(std::move(concat));
  for (const ValueId id : {shape, batch, target}) net.graph.value(id).type = {};
  net.add({.op = "Reshape", .name = "rows", .inputs = {x, target}});
  const Graph prepared = prepare_for_quantization(net.finish());
  EXPECT_EQ(to_text(prepared),
            "input %x:f32[?,3,2,2]\n%rows:f32[?,12] = Reshape(%x, %target_folded)\noutput %rows\n");
  const auto folded = prepared.find_value("target_folded");
  ASSERT_TRUE(folded);
  const std::span<const int64_t> dims = prepared.value(*folded).data.data<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(dims.begin(), dims.end()), (std::vector<int64_t>{-1, 12}));
}

TEST(prepare, matmul_and_bias_become_gemm) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({12, 5}, 0.3));
  const ValueId b = net.constant("b", net.normal({5}, 0.3));
  const ValueId product = net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  net.add({.op = "Add", .name = "sum", .inputs = {b, product}});
  EXPECT_EQ(to_text(prepare_for_quantization(net.finish())),
            "input %x:f32[?,12]\n%sum:f32[?,5] = Gemm(%x, %w, %b_row)\noutput %sum\n");
}

}  // namespace
}  // namespace nibble
