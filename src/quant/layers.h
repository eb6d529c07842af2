// The weighted layers of a network (Conv, Gemm, MatMul, ...): which can be quantized, and to how
// many bits.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nibble/quantize.h"

namespace nibble {

struct Layer {
  NodeId id;
  std::string name;
  LayerBits bits;

  /// Its data input is quantized too: it can run as integers.
  bool quantizes_data() const { return bits.activation_bits > 0; }
};

/// Why this product of two activations (multiplies_activations()) stays in float; nullopt if its
/// operands are quantized.
std::optional<std::string> why_product_left_in_float(const Node& node, const BitPlan& plan,
                                                     const QuantizeOptions& options);
/// The products of two activations to be quantized, in execution order: they have no weight.
std::vector<Layer> find_products(const Graph& graph, const BitPlan& plan,
                                 const QuantizeOptions& options);

/// Why the weight of this weighted node cannot be quantized, as one sentence; nullopt if it can.
std::optional<std::string> why_not_quantizable(const Graph& graph, const Node& node);

/// Nodes of `layers` before which, or after which, there is no other weighted layer.
std::vector<bool> at_the_ends(const Graph& graph, const std::vector<NodeId>& layers);

/// Why this weighted node is not one of find_layers().
std::optional<std::string> why_left_in_float(const Graph& graph, const Node& node,
                                             const BitPlan& plan, const QuantizeOptions& options);

/// The layers to be quantized, in execution order, with their bits. Throws Error{invalid_argument}
/// for a bit-width or a node name that makes no sense.
std::vector<Layer> find_layers(const Graph& graph, const BitPlan& plan,
                               const QuantizeOptions& options);

}  // namespace nibble
