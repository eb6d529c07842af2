#include "ranges/channel_axis.h"

#include "ops/roles.h"

namespace nibble {
namespace {

constexpr int kDepth = 8;  // operators that are seen through

// Where a layer's own row says it.
int axis_by_row(const Node& node, int rank) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || rank < 2) return -1;
  if (row->weights) {
    const bool transposed = node.attributes.integer("transA", 0) != 0;
    return row->weights.matrix ? rank - (transposed ? 2 : 1) : 1;
  }
  return row->layout == LayoutRole::spatial ? 1 : -1;
}

bool is_elementwise(const Node& node) {
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->layout == LayoutRole::elementwise && node.outputs.size() == 1;
}

bool is_data_of(const Node& node, ValueId value) {
  const OpRow* row = find_op(node.op, node.domain);
  return node.input(row != nullptr && row->weights ? row->weights.data : 0) == value;
}

// The axis that a Transpose of `rank` dimensions puts at `to`.
int source_axis(const Node& node, int to, int rank) {
  const std::vector<int64_t> order = node.attributes.integers("perm");
  if (order.empty()) return rank - 1 - to;
  return static_cast<int>(order.size()) == rank ? static_cast<int>(order[static_cast<size_t>(to)])
                                                : -1;
}

}  // namespace

ChannelAxes::ChannelAxes(const Graph& graph) : graph_(graph) {
  for (const NodeId id : graph.nodes()) {
    for (const ValueId input : graph.node(id).inputs) {
      if (input) readers_[input].push_back(id);
    }
    for (const ValueId output : graph.node(id).outputs) {
      if (output) producer_[output] = id;
    }
  }
}

int ChannelAxes::by_readers(ValueId value, int rank, int depth) const {
  const auto readers = readers_.find(value);
  if (depth == 0 || readers == readers_.end()) return -1;
  for (const NodeId id : readers->second) {
    const Node& node = graph_.node(id);
    int axis = is_data_of(node, value) ? axis_by_row(node, rank) : -1;
    if (axis < 0 && is_elementwise(node)) axis = by_readers(node.outputs[0], rank, depth - 1);
    if (axis < 0 && node.op == "Transpose" && node.domain.empty()) {
      const int behind = by_readers(node.outputs[0], rank, depth - 1);
      if (behind >= 0) axis = source_axis(node, behind, rank);
    }
    if (axis >= 0) return axis;
  }
  return -1;
}

int ChannelAxes::by_producer(ValueId value, int rank, int depth) const {
  const auto producer = producer_.find(value);
  if (depth == 0 || producer == producer_.end() || rank < 2) return -1;
  const Node& node = graph_.node(producer->second);
  const OpRow* row = find_op(node.op, node.domain);
  if (row != nullptr && row->weights) return row->weights.matrix ? rank - 1 : 1;
  if (row != nullptr && row->layout == LayoutRole::spatial) return 1;
  return is_elementwise(node) ? by_producer(node.inputs[0], rank, depth - 1) : -1;
}

int ChannelAxes::of(ValueId value, int rank) const {
  const int axis = by_readers(value, rank, kDepth);
  return axis >= 0 ? axis : by_producer(value, rank, kDepth);
}

}  // namespace nibble
