// Layers in the bodies of If, Loop and Scan: nobody knows the ranges of their data, so their
// weights alone are quantized.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "quant/layers.h"

namespace nibble {

/// A layer of a body whose weights are quantized.
struct BodyLayer {
  std::string name;  // "loop1/body/conv1"
  LayerBits bits;    // of the weights; activation_bits is 0
};

/// "node/attribute/" before the names of the nodes in a body.
std::string body_path(const std::string& node, const std::string& attribute);

/// Why the weights of a node in a body stay in float; nullopt if they are quantized. `path` as of
/// body_path().
std::optional<std::string> why_body_layer_left_in_float(const Graph& body, const Node& node,
                                                        const std::string& path,
                                                        const BitPlan& plan,
                                                        const QuantizeOptions& options);
/// Bits of a layer in a body: 4 to 8.
LayerBits body_layer_bits(const BitPlan& plan, const std::string& name);

/// Quantizes the weights of all of them.
std::vector<BodyLayer> quantize_bodies(Graph& graph, const BitPlan& plan,
                                       const QuantizeOptions& options);

/// Calls visit(name) for each node in the bodies of the graph's nodes.
void for_each_body_node(const Graph& graph, const std::function<void(const std::string&)>& visit);

}  // namespace nibble
