// Sets of values whose channels are the same: what one orthogonal matrix can mix at once, so that
// nothing but constants changes.
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"
#include "nibble/ranges.h"
#include "ops/channel_flow.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A product that reads what a normalization gives, whose scales and shifts can move into it.
struct ScaledReader {
  NodeId product;
  ValueId bias;  // what takes the shifts; none if there are no shifts
};
/// A normalization and all that reads it.
struct MovableScales {
  NodeId normalization;
  std::vector<ScaledReader> readers;
};

struct ChannelSpace {
  int64_t width = 0;  // of the runs that are mixed
  /// Activations, in the order in which they were found: the first is what the search began with.
  std::vector<ChannelPlace> values;
  std::vector<ChannelPlace> constants;  // each read by one node
  std::vector<MovableScales> scales;    // that have to move first
};

/// A sum that runs through a network and why it cannot be mixed, in a sentence.
struct FixedChannels {
  std::string value;
  std::string reason;
};

struct ChannelSpaces {
  std::vector<ChannelSpace> spaces;
  std::vector<FixedChannels> fixed;
};

/// What normalizations read (the sums that run through a transformer), and what products of two
/// activations multiply (its heads), with everything that hangs together with it. `graph` is
/// prepared; where the rank of a value is not known from it, `ranges` say what it had.
ChannelSpaces find_channel_spaces(const Graph& graph, const RangeReport& ranges);

}  // namespace nibble
#pragma GCC visibility pop
