// Where channels go when they are mixed by one orthogonal matrix Q with Q 1 = 1: which operators
// give Q f(x) for Q x, and which of their other operands have to be mixed for it.
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Channels of a value, or of a constant: the numbers along `axis`, in runs of some width.
struct ChannelPlace {
  ValueId value;
  int axis = 0;
  bool operator==(const ChannelPlace&) const = default;
};

struct ChannelFlow {
  /// What has to be mixed as well, the place asked for among it where the node has it twice. A
  /// weight stands here with the axis along which it meets the channels.
  std::vector<ChannelPlace> others;
  /// The node centers and scales all channels, `width` of them, and then each by itself: a
  /// normalization. Nothing else is asked of it; its input and output are places of equal channels
  /// as soon as all its scales are the same.
  bool normalizes = false;
  /// Why the channels cannot be mixed; empty if they can.
  std::string why_not;
};

/// For channels of `node` that come in at input `slot` or, where `given` is set, that it gives as
/// output `slot`. Types are inferred; dimensions may be unknown, those of channels are not.
ChannelFlow channel_flow(const Graph& graph, const Node& node, const ChannelPlace& place,
                         bool given, int64_t width);

}  // namespace nibble
#pragma GCC visibility pop
