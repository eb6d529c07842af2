// The graph as a container.
#include "nibble/graph.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(graph, references_stay_valid_whatever_is_added) {
  Graph graph;
  const Value& first = graph.value(graph.add_value("first", {.dtype = DType::f32, .shape = {2}}));
  const NodeId id = graph.add_node({.op = "Relu", .name = "relu"});
  const Node& node = graph.node(id);
  for (int i = 0; i < 1000; ++i) {
    graph.add_value("v" + std::to_string(i), first.type);
    graph.add_node({.op = node.op, .name = "n" + std::to_string(i)});
  }
  EXPECT_EQ(&first, &graph.value(ValueId{0}));
  EXPECT_EQ(&node, &graph.node(id));
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(node.name, "relu");
}

}  // namespace
}  // namespace nibble
