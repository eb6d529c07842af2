// A network cut into blocks that learned rounding works on one after another.
#pragma once

#include <cstdint>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// How much of a network one block holds.
enum class BlockSize : uint8_t {
  layer,  // one weighted layer, and what follows it up to the next
  block,  // as much as lies between two places where all flows through one value: a residual
          // block, a branch and its join
};

/// Nodes that follow each other in execution order.
struct Block {
  std::vector<NodeId> nodes;
  std::vector<ValueId> inputs;   // computed before the block (or given to the graph), read in it
  std::vector<ValueId> outputs;  // computed in it, read behind it (or given by the graph)
};

/// `layers` are the nodes whose weights are learned; each block holds one of them at least, and all
/// nodes of the graph but those before the first layer's lie in one.
std::vector<Block> split_into_blocks(const Graph& graph, const std::vector<NodeId>& layers,
                                     BlockSize size);

/// The block as a graph of its own, with the values and nodes of the same names.
Graph graph_of_block(const Graph& graph, const Block& block);

}  // namespace nibble
#pragma GCC visibility pop
