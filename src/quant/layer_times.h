// From the times of steps to the times of layers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nibble/quantize.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A layer of a network that was timed.
struct TimedLayer {
  std::string name;
  bool in_float = false;
};

/// Seconds by layer, in their order, which add up to the network's median. A step belongs to its
/// layer; one of no layer (an addition, a pooling) to the layer that ran before it, and before the
/// first to the first. A conversion between a layer in float and one on codes belongs to the one in
/// float: it is what that costs.
std::vector<double> seconds_by_layer(const TimedNetwork& network,
                                     std::span<const TimedLayer> layers);

}  // namespace nibble
#pragma GCC visibility pop
