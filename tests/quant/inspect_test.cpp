// What inspect says is what quantize does: node by node, over graphs of many kinds.
#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "nibble/quantize.h"
#include "ops/op.h"
#include "support/bodies.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

std::map<std::string, NodeSupport> inspected(const Graph& graph) {
  std::map<std::string, NodeSupport> nodes;
  for (const NodeSupport& node : inspect_nodes(graph)) nodes[node.node] = node;
  return nodes;
}

// Integers come out of the node, or go into the weighted layer that it is.
bool is_integer(const Graph& graph, const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row != nullptr && row->quant == QuantRole::weighted) {
    return graph.value(node.inputs[1]).type.quant.has_value();
  }
  for (const ValueId output : node.outputs) {
    if (output && graph.value(output).type.quant) return true;
    for (const NodeId reader : graph.consumers(output)) {  // a clamp that becomes part of it
      const Node& clamp = graph.node(reader);
      if (clamp.op == "Relu" && graph.value(clamp.outputs[0]).type.quant &&
          graph.value(node.inputs[0]).type.quant) {
        return true;
      }
    }
  }
  return false;
}

// Every node that is left after quantize() has become what inspect said; those that are gone were
// said to be folded.
void expect_agreement(const Graph& graph, const Shape& sample) {
  const auto said = inspected(graph);
  QuantizeReport report;
  const Graph result =
      quantize(graph, analyze(graph, Synthetic(16, sample), {.batch = 8}), {}, {}, &report);
  std::set<std::string> left;
  for (const NodeId id : result.nodes()) {
    const Node& node = result.node(id);
    left.insert(node.name);
    const auto it = said.find(node.name);
    if (it == said.end()) continue;  // a copy
    EXPECT_EQ(it->second.quantizable, is_integer(result, node))
        << node.name << ": " << it->second.reason;
  }
  for (const auto& skipped : report.why_not) {
    const auto it = said.find(skipped.node);
    ASSERT_NE(it, said.end()) << skipped.node;
    EXPECT_FALSE(it->second.quantizable) << skipped.node;
    EXPECT_TRUE(it->second.reason.starts_with(skipped.reason)) << it->second.reason;
  }
  for (const auto& [name, node] : said) {
    if (left.contains(name) || name.find('/') != std::string::npos) continue;
    EXPECT_TRUE(node.reason.find("folded") != std::string::npos ||
                node.reason.find("constants alone") != std::string::npos)
        << name << ": " << node.reason;
  }
}

TEST(inspect, says_what_quantize_does_to_a_residual_network) {
  expect_agreement(testing::residual(), {3, 6, 6});
  expect_agreement(testing::three_convs(), {3, 6, 6});
}

// Weights behind Reshape, Transpose and Identity; a factor; a constant on the left; a 3-D weight.
Graph weights_in_many_forms() {
  NetworkBuilder net({-1, 12});
  const ValueId flat = net.constant("flat", net.normal({144}, 0.3));
  const ValueId shape =
      net.graph.add_constant("shape", Tensor::of<int64_t>({2}, {int64_t{12}, int64_t{12}}));
  const ValueId x = net.graph.inputs[0];
  const ValueId square = net.add({.op = "Reshape", .name = "square", .inputs = {flat, shape}});
  const ValueId same = net.add({.op = "Identity", .name = "same", .inputs = {square}});
  const ValueId first = net.add({.op = "MatMul", .name = "reshaped", .inputs = {x, same}});
  const ValueId turned = net.add({.op = "Transpose", .name = "turned", .inputs = {square}});
  const ValueId second = net.add({.op = "MatMul", .name = "transposed", .inputs = {first, turned}});
  Node gemm{.op = "Gemm", .name = "scaled", .inputs = {second, square}};
  gemm.attributes.set("alpha", 0.5F);
  const ValueId third = net.add(std::move(gemm));
  const ValueId w3 = net.constant("w3", net.normal({1, 12, 12}, 0.3));
  const ValueId fourth = net.add({.op = "MatMul", .name = "deep", .inputs = {third, w3}});
  net.add({.op = "Exp", .name = "exp", .inputs = {fourth}});
  return net.finish();
}

TEST(inspect, sees_the_weights_that_quantize_sees) {
  const Graph graph = weights_in_many_forms();
  expect_agreement(graph, {12});
  const auto nodes = inspected(graph);
  for (const char* name : {"reshaped", "transposed", "scaled"}) {
    EXPECT_TRUE(nodes.at(name).quantizable) << nodes.at(name).reason;
    EXPECT_EQ(nodes.at(name).macs, 144) << name;
  }
  EXPECT_EQ(nodes.at("square").parameters, 0);
}

TEST(inspect, counts_a_shared_weight_once) {
  const auto nodes = inspected(weights_in_many_forms());
  EXPECT_EQ(nodes.at("reshaped").parameters, 144);
  EXPECT_EQ(nodes.at("transposed").parameters, 0);
  EXPECT_EQ(nodes.at("scaled").parameters, 0);
  EXPECT_EQ(nodes.at("deep").parameters, 144);
}

// A layer, one in a branch of an If with a weight of its own, and one in the other with the weight
// of the first.
Graph branches(bool is_known) {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.last;
  const ValueId condition = is_known ? net.graph.add_constant("yes", Tensor::of<bool>({}, {true}))
                                     : testing::sum_exceeds(net, x, 0);
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId y = net.add({.op = "MatMul", .name = "outside", .inputs = {x, w}});
  const auto body = [&](const std::string& name, bool own) {
    testing::BodyBuilder builder;
    const ValueId weight = own ? builder.graph.add_constant(name + "_w", net.normal({12, 12}, 0.3))
                               : builder.capture("w");
    return builder.finish({builder.matmul(name, builder.capture("outside"), weight)});
  };
  testing::choose(net, condition, {y, w}, body("then", true), body("else", false));
  return net.finish();
}

TEST(inspect, names_the_layers_in_bodies_like_all_others) {
  const auto nodes = inspected(branches(false));
  for (const char* name : {"if/then_branch/then", "if/else_branch/else"}) {
    ASSERT_TRUE(nodes.contains(name));
    EXPECT_TRUE(nodes.at(name).quantizable);
    EXPECT_EQ(nodes.at(name).reason, nodes.at("outside").reason);
    EXPECT_EQ(nodes.at(name).macs, 144);
  }
  EXPECT_EQ(nodes.at("if/then_branch/then").parameters, 144);
  EXPECT_EQ(nodes.at("if/else_branch/else").parameters, 0);  // counted outside
}

TEST(inspect, says_that_a_branch_is_never_taken) {
  const auto nodes = inspected(branches(true));
  EXPECT_EQ(nodes.at("if/then_branch/then").reason, nodes.at("outside").reason);
  EXPECT_EQ(nodes.at("if/else_branch/else").reason, "is in a branch that is never taken");
}

TEST(quantize, reports_every_layer_with_weights_that_stays_in_float) {
  NetworkBuilder net({-1, 3, 6, 6});
  net.conv("conv", net.last, 3, 4);
  const ValueId w = net.constant("mix_w", net.normal({4, 2}, 0.2));
  Node mix{.op = "Einsum", .name = "mix", .inputs = {net.last, w}};
  mix.attributes.set("equation", std::string("nchw,cd->ndhw"));
  net.add(std::move(mix));
  const Graph graph = net.finish();
  expect_agreement(graph, {3, 6, 6});
  QuantizeReport report;
  quantize(graph, analyze(graph, Synthetic(8, {3, 6, 6}), {.batch = 8}), {}, {}, &report);
  const auto nodes = inspected(graph);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "mix");
  EXPECT_EQ(report.why_not[0].op, "Einsum");
  EXPECT_EQ(report.why_not[0].parameters, 4 * 2);
  EXPECT_FALSE(nodes.at("mix").quantizable);
}

TEST(inspect, counts_the_macs_of_a_transposed_convolution) {
  NetworkBuilder net({-1, 4, 6, 6});
  const ValueId w = net.constant("up_w", net.normal({4, 2, 3, 3}, 0.2));
  net.add({.op = "ConvTranspose", .name = "up", .inputs = {net.last, w}});
  const Graph graph = net.finish();
  expect_agreement(graph, {4, 6, 6});
  const auto nodes = inspected(graph);
  EXPECT_TRUE(nodes.at("up").quantizable);
  EXPECT_EQ(nodes.at("up").macs, 4 * 6 * 6 * 2 * 9);
}

}  // namespace
}  // namespace nibble
