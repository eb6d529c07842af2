#include "train/blocks.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace nibble {
namespace {

// Short blocks in a chain become one: layers that follow each other correct each other's errors.
constexpr int64_t kUsualLayers = 3;
// Where a network flows through one value nowhere, it is cut all the same.
constexpr int64_t kMostLayers = 8;

// What of a graph in execution order is alive where.
class Flow {
 public:
  explicit Flow(const Graph& graph) : graph_(graph), nodes_(graph.nodes()) {
    for (const ValueId input : graph.inputs) first_[input] = 0;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const Node& node = graph.node(nodes_[i]);
      for (const ValueId value : node.inputs) read_at(value, i);
      for (const ValueId value : node.captures) read_at(value, i);
      for (const ValueId value : node.outputs) {
        if (value) first_[value] = i + 1;
      }
    }
    for (const ValueId output : graph.outputs) read_at(output, nodes_.size());
  }

  const std::vector<NodeId>& nodes() const { return nodes_; }

  // The value that all real numbers go through which are needed from node `position` on.
  std::optional<ValueId> narrow(size_t position) const {
    std::optional<ValueId> only;
    for (const auto& [value, last] : last_) {
      const auto first = first_.find(value);
      if (!is_float(graph_.value(value).type.dtype) || first == first_.end()) continue;
      if (first->second > position || last < position) continue;
      if (only) return std::nullopt;
      only = value;
    }
    return only;
  }

  Block block(size_t begin, size_t end) const {
    Block block;
    block.nodes.assign(nodes_.begin() + static_cast<std::ptrdiff_t>(begin),
                       nodes_.begin() + static_cast<std::ptrdiff_t>(end));
    std::set<ValueId> inputs;
    for (const NodeId id : block.nodes) {
      const Node& node = graph_.node(id);
      for (const auto* read : {&node.inputs, &node.captures}) {
        for (const ValueId value : *read) {
          const auto first = first_.find(value);
          if (first != first_.end() && first->second <= begin) inputs.insert(value);
        }
      }
      for (const ValueId value : node.outputs) {
        const auto last = last_.find(value);
        if (value && last != last_.end() && last->second >= end) block.outputs.push_back(value);
      }
    }
    block.inputs.assign(inputs.begin(), inputs.end());
    return block;
  }

 private:
  void read_at(ValueId value, size_t position) {
    if (value) last_[value] = position;
  }

  const Graph& graph_;
  const std::vector<NodeId> nodes_;
  std::map<ValueId, size_t> first_;  // the position from which a value is there: no constants
  std::map<ValueId, size_t> last_;   // the position of its last reader
};

}  // namespace

std::vector<Block> split_into_blocks(const Graph& graph, const std::vector<NodeId>& layers,
                                     BlockSize size) {
  const Flow flow(graph);
  const std::set<NodeId> learned(layers.begin(), layers.end());
  // Where a block may begin, and how many layers there are up to the next such place.
  struct Stretch {
    size_t begin = 0;
    int64_t layers = 0;
  };
  const auto may_begin = [&](size_t i, const Stretch& before) {
    const bool is_layer = learned.contains(flow.nodes()[i]);
    if (size == BlockSize::layer) return is_layer;
    // What only goes on with the last result, such as an activation, belongs to what gave it.
    const auto value = flow.narrow(i);
    if (value && (is_layer || graph.consumers(*value).size() > 1)) return true;
    return is_layer && before.layers >= kMostLayers;
  };
  std::vector<Stretch> stretches;
  for (size_t i = 0; i < flow.nodes().size(); ++i) {
    const NodeId id = flow.nodes()[i];
    const bool is_layer = learned.contains(id);
    if (stretches.empty() ? is_layer
                          : stretches.back().layers > 0 && may_begin(i, stretches.back())) {
      stretches.push_back({i, 0});
    }
    if (is_layer) ++stretches.back().layers;
  }
  if (!stretches.empty() && stretches.back().layers == 0) stretches.pop_back();
  std::vector<Stretch> joined;
  for (const Stretch& stretch : stretches) {
    if (size == BlockSize::block && !joined.empty() &&
        joined.back().layers + stretch.layers <= kUsualLayers) {
      joined.back().layers += stretch.layers;
    } else {
      joined.push_back(stretch);
    }
  }
  std::vector<Block> blocks;
  for (size_t i = 0; i < joined.size(); ++i) {
    const bool is_last = i + 1 == joined.size();
    blocks.push_back(
        flow.block(joined[i].begin, is_last ? flow.nodes().size() : joined[i + 1].begin));
  }
  return blocks;
}

Graph graph_of_block(const Graph& graph, const Block& block) {
  Graph part = graph;
  part.set_order(block.nodes);
  part.inputs = block.inputs;
  part.outputs = block.outputs;
  part.prune();
  return part;
}

}  // namespace nibble
