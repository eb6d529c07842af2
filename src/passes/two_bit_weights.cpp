#include "passes/two_bit_weights.h"

#include <algorithm>
#include <map>
#include <vector>

#include "ops/op.h"

namespace nibble {
namespace {

class Readers {
 public:
  explicit Readers(const Graph& graph) : graph_(graph) {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      for (const ValueId output : node.outputs) producer_[output] = id;
      for (const ValueId input : node.inputs) readers_[input].push_back(id);
      for (const ValueId capture : node.captures) captured_.insert(capture);
    }
  }

  bool take_two_bits(ValueId weight) const {
    const auto readers = readers_.find(weight);
    if (readers == readers_.end() || captured_.contains(weight)) return false;
    return std::ranges::all_of(readers->second, [&](NodeId id) {
      const Node& node = graph_.node(id);
      if (!node.domain.empty() || node.input(1) != weight) return false;
      if (node.op == "ConvTranspose") return true;
      if (node.op != "Conv" && node.op != "Gemm") return false;
      if (!node.input(0) || !node.output(0)) return false;
      return !holds_codes(node.inputs[0]) || (node.op == "Conv" && is_clipped(node.outputs[0]));
    });
  }

 private:
  // Quantized, or quantized before it was only moved: ONNX Runtime pushes DequantizeLinear down.
  bool holds_codes(ValueId value) const {
    while (!graph_.value(value).type.quant) {
      const auto made_by = producer_.find(value);
      if (made_by == producer_.end()) return false;
      const Node& node = graph_.node(made_by->second);
      const OpRow* row = find_op(node.op, node.domain);
      if (row == nullptr || row->quant != QuantRole::same_codes || !node.input(0)) return false;
      value = node.inputs[0];
    }
    return true;
  }

  // insert_qdq will put a Clip between this value and its QuantizeLinear.
  bool is_clipped(ValueId value) const {
    while (!graph_.value(value).type.quant) {
      const auto readers = readers_.find(value);
      if (readers == readers_.end() || readers->second.size() != 1) return false;
      const Node& node = graph_.node(readers->second[0]);
      if (!node.domain.empty() || (node.op != "Relu" && node.op != "Clip")) return false;
      if (node.input(0) != value || !node.output(0)) return false;
      value = node.outputs[0];
    }
    return graph_.value(value).type.quant->bits() < 8;
  }

  const Graph& graph_;
  std::map<ValueId, NodeId> producer_;
  std::map<ValueId, std::vector<NodeId>> readers_;
  std::set<ValueId> captured_;
};

}  // namespace

std::set<ValueId> weights_above_two_bits(const Graph& graph) {
  const Readers readers(graph);
  std::set<ValueId> weights;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant() || !value.type.quant || value.type.quant->bits() > 2) continue;
    if (!readers.take_two_bits({i})) weights.insert({i});
  }
  return weights;
}

}  // namespace nibble
