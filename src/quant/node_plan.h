// What quantize() makes of each node, and why: decided here once, for quantize(), for its report
// and for inspect_nodes().
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op.h"
#include "passes/every_graph.h"
#include "quant/layers.h"
#include "quant/value_types.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The layers of a graph to be quantized, and the values and nodes that become integers with them.
struct QuantizationPlan {
  std::string path;  // of the graph (every_graph.h)
  std::vector<Layer> layers;
  std::vector<Layer> products;  // of two activations
  /// Graph outputs are not quantized. Where nodes read one, they read a copy of it instead, which
  /// may be: from each such copy to its source.
  std::map<ValueId, ValueId> copies;
  ValueTypes types;  // empty if quantization is dynamic
  /// Of a body that ran for no sample: nobody knows its ranges, and its weights alone are
  /// quantized.
  bool never_ran = false;
  bool lost_activations = false;  // some layer would have quantized its data otherwise
};
/// Plans the quantization of all graphs of a model that prepare_for_quantization() made, parallel
/// to open.all(), and inserts the copies. `ranges` tell which bodies ran; nullptr: all did. Throws
/// Error{invalid_argument} for a bit-width or a node name that makes no sense.
std::vector<QuantizationPlan> plan_quantization(const OpenGraphs& open, const BitPlan& bits,
                                                const QuantizeOptions& options,
                                                const RangeReport* ranges = nullptr);

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
