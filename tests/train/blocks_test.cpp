// Where a network is cut for learned rounding.
#include "train/blocks.h"

#include <gtest/gtest.h>

#include "ops/roles.h"
#include "support/networks.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using Names = std::vector<std::vector<std::string>>;

std::vector<Block> split(const Graph& graph, BlockSize size) {
  std::vector<NodeId> layers;
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).op == "Conv" || graph.node(id).op == "Gemm") layers.push_back(id);
  }
  return split_into_blocks(graph, layers, size);
}

Names nodes_of(const Graph& graph, const std::vector<Block>& blocks) {
  Names names;
  for (const Block& block : blocks) {
    names.emplace_back();
    for (const NodeId id : block.nodes) names.back().push_back(graph.node(id).name);
  }
  return names;
}

std::vector<std::string> names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::vector<std::string> names;
  for (const ValueId value : values) names.push_back(graph.value(value).name);
  return names;
}

TEST(blocks, a_layer_takes_what_follows_it_along) {
  const Graph graph = testing::residual();
  const auto blocks = split(graph, BlockSize::layer);
  EXPECT_EQ(nodes_of(graph, blocks),
            (Names{{"conv1", "relu1"}, {"conv2", "add", "relu2"}, {"conv3"}}));
  EXPECT_EQ(names_of(graph, blocks[1].inputs), std::vector<std::string>{"relu1"});
  EXPECT_EQ(names_of(graph, blocks[1].outputs), std::vector<std::string>{"relu2"});
}

// in -> a -> (b -> c -> d) + a -> e: the shortcut holds b, c and d together.
Graph wide_residual() {
  NetworkBuilder net({-1, 4, 6, 6});
  ValueId last = net.relu("a_relu", net.conv("a", net.last, 4, 4));
  const ValueId shortcut = last;
  for (const char* name : {"b", "c", "d"}) {
    last = net.relu(std::string(name) + "_relu", net.conv(name, last, 4, 4));
  }
  net.add({.op = "Add", .name = "add", .inputs = {last, shortcut}});
  net.conv("e", net.last, 4, 4);
  return net.finish();
}

TEST(blocks, a_shortcut_holds_its_layers_together) {
  const Graph graph = wide_residual();
  EXPECT_EQ(nodes_of(graph, split(graph, BlockSize::block)),
            (Names{{"a", "a_relu"}, {"b", "b_relu", "c", "c_relu", "d", "d_relu", "add"}, {"e"}}));
}

TEST(blocks, short_ones_in_a_chain_become_one) {
  const Graph graph = testing::residual();
  EXPECT_EQ(nodes_of(graph, split(graph, BlockSize::block)),
            (Names{{"conv1", "relu1", "conv2", "add", "relu2", "conv3"}}));
}

TEST(blocks, each_node_from_the_first_layer_on_lies_in_one_block) {
  for (const Graph& graph :
       {testing::residual(), testing::three_convs(), testing::perceptron(), wide_residual()}) {
    for (const BlockSize size : {BlockSize::layer, BlockSize::block}) {
      std::vector<NodeId> all;
      for (const Block& block : split(graph, size)) {
        all.insert(all.end(), block.nodes.begin(), block.nodes.end());
      }
      EXPECT_EQ(all, graph.nodes());
    }
  }
}

TEST(blocks, a_block_is_a_graph_of_its_own) {
  const Graph graph = wide_residual();
  const auto blocks = split(graph, BlockSize::block);
  const Graph part = graph_of_block(graph, blocks[1]);
  part.validate();
  EXPECT_EQ(names_of(part, part.inputs), std::vector<std::string>{"a_relu"});
  EXPECT_EQ(names_of(part, part.outputs), std::vector<std::string>{"add"});
  EXPECT_EQ(part.nodes().size(), 7U);
}

}  // namespace
}  // namespace nibble
