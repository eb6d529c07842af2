// What quantize() makes of each node, and why: decided here once, for quantize(), for its report
// and for inspect_nodes().
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"
#include "quant/layers.h"
#include "quant/value_types.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The layers to be quantized, and the values and nodes that become integers with them.
struct QuantizationPlan {
  std::vector<Layer> layers;
  std::vector<Layer> products;  // of two activations
  /// Graph outputs are not quantized. Where nodes read one, they read a copy of it instead, which
  /// may be: from each such copy to its source.
  std::map<ValueId, ValueId> copies;
  ValueTypes types;  // empty if quantization is dynamic
};
/// Plans the quantization of a graph that prepare_for_quantization() made, and inserts the copies.
/// Throws Error{invalid_argument} for a bit-width or a node name that makes no sense.
QuantizationPlan plan_quantization(Graph& graph, const BitPlan& bits,
                                   const QuantizeOptions& options);

/// What becomes of a node, or why it stays in float.
struct NodeFate {
  bool quantized = false;
  std::string reason;
};
/// Of a node of the graph that was planned, with the same arguments.
NodeFate fate_of(const Graph& graph, const QuantizationPlan& plan, const BitPlan& bits,
                 const QuantizeOptions& options, NodeId id);

/// Whether integers can stand for what an operator of this role reads and gives.
bool is_quantized_role(QuantRole role);
/// Whether quantization makes anything of an operator: of its values, or of its weights.
bool can_be_quantized(const OpRow& row);
/// "integer layer", "moves codes between quantized layers", ...
std::string_view describe(const OpRow& row);

}  // namespace nibble
#pragma GCC visibility pop
