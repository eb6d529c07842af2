// Which activations are quantized, to how many bits, and which share their parameters.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "quant/layers.h"

namespace nibble {

struct ValueTypes {
  struct Entry {
    int bits = 8;
    ValueId group;  // values of one group have the same scale and zero point
  };
  std::map<ValueId, Entry> activations;
  /// Scalar constants that integer arithmetic reads.
  std::set<ValueId> constants;
  /// Nodes that run as integers besides the weighted layers.
  std::set<NodeId> nodes;
};

/// An activation is quantized if a quantized layer reads it as data, if a quantized product of two
/// activations reads it, or if it lies between such layers: a node other than a layer is made
/// integer only where all its operands are quantized anyway and a quantized layer comes after it.
/// So what leads from the last layer to an output stays in float. A value between a layer and the
/// Relu or Clip that compile() fuses into it is not quantized; the activation's result is.
ValueTypes plan_value_types(const Graph& graph, const std::vector<Layer>& layers,
                            const std::vector<Layer>& products, int default_activation_bits);

}  // namespace nibble
