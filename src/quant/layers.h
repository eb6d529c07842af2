// The weighted layers of a network (Conv, Gemm, MatMul, ...): which can be quantized, and to how
// many bits.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nibble/quantize.h"

namespace nibble {

struct Layer {
  NodeId id;         // in its graph
  std::string name;  // with the path of its graph: "loop1/body/conv1"
  LayerBits bits;

  /// Its data input is quantized too: it can run as integers.
  bool quantizes_data() const { return bits.activation_bits > 0; }
};

/// Why this product of two activations (multiplies_activations()) stays in float; nullopt if its
/// operands are quantized. `name` as of Layer.
std::optional<std::string> why_product_left_in_float(const std::string& name, const BitPlan& plan,
                                                     const QuantizeOptions& options);
/// The products of two activations to be quantized, in execution order: they have no weight.
/// `graph` is the one at `path` (every_graph.h).
std::vector<Layer> find_products(const Graph& graph, const std::string& path, const BitPlan& plan,
                                 const QuantizeOptions& options);

/// Why the weight of this weighted node cannot be quantized, as one sentence; nullopt if it can.
std::optional<std::string> why_not_quantizable(const Graph& graph, const Node& node);

/// Those of the layers of these names before which, or after which, there is no other. A body
/// counts for the node that owns it.
std::set<std::string> layers_at_the_ends(const Graph& model, const std::set<std::string>& layers);

/// Why this weighted node of the graph at `path` is not one of find_layers().
std::optional<std::string> why_left_in_float(const Graph& graph, const Node& node,
                                             const std::string& path, const BitPlan& plan,
                                             const QuantizeOptions& options);

/// The layers to be quantized, with their bits, by the paths of their graphs; those of a graph in
/// execution order. Throws Error{invalid_argument} for a bit-width or a node name that makes no
/// sense.
std::map<std::string, std::vector<Layer>> find_layers(const Graph& model, const BitPlan& plan,
                                                      const QuantizeOptions& options);

}  // namespace nibble
