// How much a node multiplies.
#pragma once

#include <cstdint>
#include <optional>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// LSTM, GRU or RNN.
bool is_recurrent(const Node& node);
/// What compile() makes of attention between codes.
bool is_head_attention(const Node& node);

/// Multiplications (each with its addition) of one evaluation of a node whose types are inferred:
/// of layers with weights and of products of matrices, 0 of all others. nullopt if they depend on a
/// size that nobody knows.
std::optional<int64_t> count_macs(const Graph& graph, const Node& node);

}  // namespace nibble
#pragma GCC visibility pop
