// Small networks made in code, which fuzzing starts from: together they hold every family of
// operators.
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"

namespace nibble::fuzz {

struct SeedGraph {
  std::string name;
  Graph graph;
};

/// Float networks and their quantized forms; the same on every call.
std::vector<SeedGraph> seed_graphs();

}  // namespace nibble::fuzz
