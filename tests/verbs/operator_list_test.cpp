// Which operators of the runtime a model needs.
#include "verbs/operator_list.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nibble {
namespace {

// y = If(c) { Erf(x) } else { Softsign(x) }, of which only one branch runs on zeros.
Graph branches() {
  Graph graph;
  graph.opsets[""] = 17;
  const ValueId c = graph.add_value("c", {DType::boolean, {}, {}});
  const ValueId x = graph.add_value("x", {DType::f32, {3}, {}});
  const ValueId y = graph.add_value("y", {});
  graph.inputs = {c, x};
  const auto branch = [&](const char* op) -> Attribute {
    Graph body;
    const ValueId captured = body.add_value("x", graph.value(x).type);
    body.outputs = {body.add_value("z", {})};
    body.add_node({.op = op, .name = op, .inputs = {captured}, .outputs = {body.outputs[0]}});
    return std::make_shared<const Graph>(std::move(body));
  };
  Node node{.op = "If", .name = "if", .inputs = {c}, .outputs = {y}};
  node.attributes.set("then_branch", branch("Erf"));
  node.attributes.set("else_branch", branch("Softsign"));
  node.captures = {x};
  graph.add_node(std::move(node));
  graph.outputs = {y};
  return graph;
}

bool has(const std::vector<std::string>& families, const std::string& name) {
  return std::ranges::find(families, name) != families.end();
}

TEST(operator_list, names_the_operators_of_bodies_too) {
  const Graph graph = branches();
  const OperatorList list = list_operators(std::span(&graph, 1));
  EXPECT_EQ(list.operators, (std::set<std::string>{"Erf", "If", "Softsign"}));
  EXPECT_TRUE(has(list.families, "control_ops"));
  EXPECT_TRUE(has(list.families, "permute_ops"));  // passes may put a Transpose into a body
  EXPECT_FALSE(has(list.families, "spectral_ops"));
}

TEST(operator_list, becomes_a_source_file_that_names_each_family_twice) {
  const OperatorList list = {.operators = {"Add", "Conv"},
                             .families = {"arithmetic_ops", "conv_ops"}};
  const std::string source = as_source(list);
  EXPECT_NE(source.find("the operators that Add, Conv need"), std::string::npos);
  EXPECT_NE(source.find("Family conv_ops;\n"), std::string::npos);
  EXPECT_NE(source.find("      conv_ops,\n"), std::string::npos);
  EXPECT_EQ(to_json(list)["families"].size(), 2U);
}

}  // namespace
}  // namespace nibble
