// The layers with weights that quantize() leaves in float.
#pragma once

#include <string>
#include <vector>

#include "quant/node_cost.h"
#include "quant/node_plan.h"

namespace nibble {

/// A node with weights in a body of an If, Loop or Scan.
struct BodyNode {
  std::string name;  // "loop1/body/conv1"
  std::string op;
  ParameterCount parameters;
  std::string reason;  // what becomes of it
  bool quantized = false;
};
/// Those in all bodies of the graph that `counter` counts, in execution order.
std::vector<BodyNode> body_nodes_with_weights(const Graph& graph, ParameterCounter& counter,
                                              const BitPlan& bits, const QuantizeOptions& options);

/// Every node with weights that stays in float, those in bodies included, in execution order.
std::vector<QuantizeReport::Skipped> layers_left_in_float(const Graph& graph,
                                                          const QuantizationPlan& plan,
                                                          const BitPlan& bits,
                                                          const QuantizeOptions& options);

}  // namespace nibble
