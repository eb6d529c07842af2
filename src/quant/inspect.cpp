// What each node costs, and what quantize() makes of it.
#include <map>
#include <optional>

#include "base/check.h"
#include "nibble/quantize.h"
#include "ops/macs.h"
#include "ops/require_ops.h"
#include "quant/layer_macs.h"
#include "quant/node_cost.h"
#include "quant/node_plan.h"

namespace nibble {
namespace {

constexpr std::string_view kUnknownMacs =
    "its MACs are unknown: they depend on a size that the model leaves open";

// What quantize() does, by the names of nodes.
class Verdicts {
 public:
  explicit Verdicts(const Graph& graph) {
    try {
      Graph prepared = prepare_for_quantization(graph);
      const OpenGraphs open(prepared);
      for (size_t i = 0; const QuantizationPlan& plan : plan_quantization(open, {}, {})) {
        const Graph& one = *open.all()[i++]->graph;
        for (const NodeId id : one.nodes()) {
          fates_[plan.path + one.node(id).name] = fate_of(one, plan, {}, {}, id);
        }
      }
    } catch (const Error& error) {
      refusal_ = error.what();
    }
  }

  NodeFate of(const std::string& name, const Node& node, bool is_constant) const {
    if (refusal_) return {false, "the model cannot be quantized: " + *refusal_};
    const auto fate = fates_.find(name);
    if (fate != fates_.end()) return fate->second;
    const std::string path = name.substr(0, name.size() - node.name.size());
    const auto beside = fates_.lower_bound(path);
    if (beside == fates_.end() || !beside->first.starts_with(path)) {
      return {true, "is in a branch that is never taken"};
    }
    if (is_constant) return {true, "depends on constants alone: is computed beforehand"};
    if (node.op == "BatchNormalization") return {true, "is folded into the layer before it"};
    return {true, "leaves nothing to compute: is folded away"};
  }

 private:
  std::map<std::string, NodeFate> fates_;
  std::optional<std::string> refusal_;
};

}  // namespace

std::vector<NodeSupport> inspect_nodes(const Graph& graph) {
  Graph sized = sized_for_one(graph);
  const Verdicts verdicts(graph);
  const OpenGraphs open(sized);
  ParameterCounters counters;
  std::vector<NodeSupport> nodes;
  for (const auto& scope : open.all()) {
    const Graph& one = *scope->graph;
    ParameterCounter& counter =
        counters.add(one, scope->outer == nullptr ? nullptr : scope->outer->graph);
    for (const NodeId id : one.nodes()) {
      const Node& node = one.node(id);
      const std::string name = scope->path + node.name;
      const NodeFate fate = verdicts.of(name, node, counter.is_constant(node));
      const std::optional<int64_t> macs = count_macs(one, node);
      nodes.push_back({.node = name,
                       .op = full_op_name(node.op, node.domain),
                       .quantizable = fate.quantized,
                       .reason = fate.reason,
                       .parameters = counter.count(node).first_seen,
                       .macs = macs.value_or(0)});
      if (!macs) nodes.back().reason += fmt::format("; {}", kUnknownMacs);
    }
  }
  return nodes;
}

}  // namespace nibble
