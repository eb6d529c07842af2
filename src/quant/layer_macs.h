// How much the nodes of a model multiply, by name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "nibble/graph.h"

namespace nibble {

/// The graph at a batch of 1, its types inferred; other open sizes are not guessed.
Graph sized_for_one(const Graph& graph);

/// Multiplications (each with its addition) for one sample of each node that has any, by node name
/// (in a body "loop1/body/conv1": of one run of it); nullopt where they depend on another open
/// size.
std::map<std::string, std::optional<int64_t>> macs_by_node(const Graph& graph);

}  // namespace nibble
