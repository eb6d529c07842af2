// Bodies of If, Loop and Scan: the names in them count, and what they capture can be renamed.
#include <gtest/gtest.h>

#include "nibble/graph.h"

namespace nibble {
namespace {

// y = If(condition) with the branches Mul(x, inner) and x, where the first holds the constant
// "inner" and a node "product"; x is captured.
Graph with_branches() {
  const TensorType real{.dtype = DType::f32, .shape = {2}, .quant = {}};
  Graph graph;
  const ValueId condition =
      graph.add_value("condition", {.dtype = DType::boolean, .shape = {}, .quant = {}});
  const ValueId x = graph.add_value("x", real);
  graph.inputs = {condition, x};
  Graph then, otherwise;
  const ValueId captured = then.add_value("x", real);
  const ValueId inner = then.add_constant("inner", Tensor::of<float>({2}, {2, 3}));
  const ValueId result = then.add_value("then_y", real);
  then.add_node({.op = "Mul", .name = "product", .inputs = {captured, inner}, .outputs = {result}});
  then.outputs = {result};
  otherwise.outputs = {otherwise.add_value("x", real)};
  Node node{.op = "If", .name = "branch", .inputs = {condition}, .captures = {x}};
  node.attributes.set("then_branch", std::make_shared<const Graph>(std::move(then)));
  node.attributes.set("else_branch", std::make_shared<const Graph>(std::move(otherwise)));
  node.outputs = {graph.add_value("y", real)};
  graph.outputs = node.outputs;
  graph.add_node(std::move(node));
  return graph;
}

TEST(unique_names, differ_from_names_in_bodies_of_bodies) {
  Graph outermost;
  Node node{.op = "Loop", .name = "loop"};
  node.attributes.set("body", std::make_shared<const Graph>(with_branches()));
  outermost.add_node(std::move(node));
  for (const Graph& graph : {with_branches(), outermost}) {
    EXPECT_EQ(graph.unique_value_name("inner"), "inner_1");
    EXPECT_EQ(graph.unique_value_name("then_y"), "then_y_1");
    EXPECT_EQ(graph.unique_node_name("product"), "product_1");
    EXPECT_EQ(graph.unique_value_name("outer"), "outer");
  }
}

TEST(rename_capture, reaches_captures_alone_at_any_depth) {
  Graph outermost;
  Node node{.op = "Loop", .name = "loop"};
  Graph body = with_branches();
  std::erase(body.inputs, *body.find_value("x"));  // captured from outside, then
  node.attributes.set("body", std::make_shared<const Graph>(std::move(body)));
  for (const char* name : {"x", "inner", "condition"}) rename_capture(node, name, "renamed");
  const auto& loop = *std::get<std::shared_ptr<const Graph>>(*node.attributes.find("body"));
  EXPECT_TRUE(loop.find_value("renamed"));
  EXPECT_TRUE(loop.find_value("condition"));  // an input of the body
  const Node& branch = loop.node(loop.nodes()[0]);
  for_each_body(branch, [](const Graph& inner) { EXPECT_TRUE(inner.find_value("renamed")); });
  const auto& then =
      *std::get<std::shared_ptr<const Graph>>(*branch.attributes.find("then_branch"));
  EXPECT_TRUE(then.find_value("inner"));
  EXPECT_FALSE(then.find_value("x"));
}

TEST(edit_bodies, changes_the_node_and_not_the_copy_it_was_made_from) {
  const Graph before = with_branches();
  Graph after = before;
  edit_bodies(after.node(after.nodes()[0]), [](Graph& body) { body.name = "edited"; });
  for_each_body(after.node(after.nodes()[0]),
                [](const Graph& body) { EXPECT_EQ(body.name, "edited"); });
  for_each_body(before.node(before.nodes()[0]),
                [](const Graph& body) { EXPECT_EQ(body.name, "nibble"); });
}

}  // namespace
}  // namespace nibble
