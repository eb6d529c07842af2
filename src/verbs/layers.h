// The layers of a model as they are: how each weight and its data are stored.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A weight of a node, a constant. Bits are those of the codes; of reals, those of the element
/// type.
struct LayerState {
  std::string node;
  std::string op;
  std::string weight;  // name of the constant
  Shape shape;         // of the constant
  int weight_bits = 32;
  int activation_bits = 32;  // of the node's data; 32 where they are real
  std::string weight_type;   // "f32[8,1,3,3] as i8 per channel(0)"
  std::string data_type;     // of the node's data
};
/// In execution order; those in bodies of If, Loop and Scan come last, by their paths.
std::vector<LayerState> layer_states(const Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
