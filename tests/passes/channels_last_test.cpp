#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "nibble/runtime.h"
#include "passes/pass.h"
#include "runtime/graphs.h"

namespace nibble {
namespace {

using test::Builder;
using test::random_tensor;

int count(const Graph& graph, const std::string& op) {
  return static_cast<int>(
      std::ranges::count_if(graph.nodes(), [&](NodeId id) { return graph.node(id).op == op; }));
}

const std::pair<std::string, Attribute> kSame{"pads", std::vector<int64_t>{1, 1, 1, 1}};

// Two branches of convolutions that join, with constants of several ranks on the way.
Graph branching() {
  Builder b(4);
  const auto weight = [&](const Shape& shape) {
    return b.constant(random_tensor(shape, b.random));
  };
  const ValueId x = b.input("x", {2, 3, 6, 5});
  const ValueId stem = b.op("Relu", {b.op("Conv", {x, weight({8, 3, 3, 3})}, {kSame})});
  const ValueId left = b.op("Conv", {stem, weight({8, 8, 1, 1})});
  const ValueId right = b.op("Mul", {stem, weight({8, 1, 1})});
  const ValueId sum = b.op("Add", {b.op("Add", {left, right}), weight({1, 8, 6, 1})});
  const ValueId joined =
      b.op("Concat", {sum, b.op("Sub", {stem, b.constant(Tensor::scalar(0.5F))})},
           {{"axis", int64_t{1}}});
  const ValueId sliced = b.op("Slice", {joined, b.integers({1, 2}), b.integers({5, 12}),
                                        b.integers({2, 1}), b.integers({1, 2})});
  const ValueId padded = b.op("Pad", {sliced, b.integers({0, 1, 0, 0, 0, 2, 1, 0})});
  return b.finish({b.op("GlobalAveragePool", {padded}), joined});
}

TEST(channels_last, transposes_stand_at_the_borders_only) {
  Graph graph = branching();
  EXPECT_GT(channels_last(graph), 0);
  graph.validate();
  EXPECT_EQ(count(graph, "Transpose"), 3);  // the input and the two outputs
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == "Conv") {
      EXPECT_TRUE(node.channels_last);
    } else if (node.op == "Concat") {
      EXPECT_EQ(node.attributes.integer("axis", 0), 3);
    }
  }
}

TEST(channels_last, keeps_names_and_types_of_inputs_and_outputs) {
  const Graph before = branching();
  Graph inferred = before;
  infer_types(inferred);
  Graph after = before;
  channels_last(after);
  for (size_t i = 0; i < before.outputs.size(); ++i) {
    EXPECT_EQ(after.value(after.outputs[i]).name, before.value(before.outputs[i]).name);
    EXPECT_EQ(after.value(after.outputs[i]).type, inferred.value(inferred.outputs[i]).type);
  }
  EXPECT_EQ(after.value(after.inputs[0]).name, "x");
}

TEST(channels_last, the_results_are_the_same) {
  const Graph graph = branching();
  Random random(8);
  const Tensor input = random_tensor({2, 3, 6, 5}, random);
  const auto expected = test::run_graph(graph, {input}, {.optimize = false});
  const auto actual = test::run_graph(graph, {input}, {.optimize = true});
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LE(test::largest_difference(actual[i], expected[i]), 1e-4);
  }
}

TEST(channels_last, infers_the_same_types_when_run_on_its_own_result) {
  Graph graph = branching();
  channels_last(graph);
  infer_types(graph);  // throws if a declared type contradicts the operators
  SUCCEED();
}

TEST(channels_last, a_graph_without_spatial_operators_stays_as_it_is) {
  Builder b;
  const Graph graph = b.finish({b.op("Relu", {b.input("x", {1, 3, 4, 4})})});
  Graph after = graph;
  EXPECT_EQ(channels_last(after), 0);
  EXPECT_EQ(count(after, "Transpose"), 0);
  EXPECT_EQ(after.nodes(), graph.nodes());
}

}  // namespace
}  // namespace nibble
