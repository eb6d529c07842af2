// Where the channels of an activation can be evened out, and which constants that changes.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "nibble/graph.h"
#include "nibble/ranges.h"
#include "passes/graph_editor.h"

namespace nibble {

/// A constant, and the channel of each of its elements.
struct ChannelConstant {
  ValueId constant;
  std::function<int64_t(int64_t element)> channel;
};

/// A layer with weights that reads the activation.
struct SmoothingReader {
  NodeId node;
  ChannelConstant weight;
};

struct SmoothingSite {
  ValueId value;
  /// What makes the value smaller by as much, channel by channel, if it is divided; empty if a
  /// multiplication has to stand before the readers, since nothing can absorb the factors.
  std::vector<ChannelConstant> before;
  std::vector<SmoothingReader> readers;

  bool absorbed() const { return !before.empty(); }
};

class SmoothingSites {
 public:
  /// Both are borrowed. `edges` are of the graph as it is.
  SmoothingSites(const Graph& graph, const GraphEditor& edges) : graph_(graph), edges_(edges) {}

  /// nullopt if the value is not a site.
  std::optional<SmoothingSite> find(const TensorRange& range) const;

 private:
  // The channels of the value that is looked at.
  struct Channels {
    int64_t count = 0;
    int rank = 0, axis = 0;
  };

  bool is_alone(ValueId value) const;
  bool is_own(ValueId value) const;
  bool has_own_weight(const Node& node, const Channels& channels) const;
  std::optional<SmoothingReader> reader(NodeId id, ValueId value, const Channels& channels) const;
  bool add_vector(ValueId constant, const Channels& channels,
                  std::vector<ChannelConstant>& to) const;
  bool add_producers(ValueId value, const Channels& channels,
                     std::vector<ChannelConstant>& to) const;

  const Graph& graph_;
  const GraphEditor& edges_;
};

}  // namespace nibble
