// Where each observer would end the codes of a tensor, for those who want to see it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

struct Clip {
  std::string_view observer;
  int bits = 8;
  double low = 0, high = 0;  // the reals of the least and the largest code
};

/// For each of the observers and each of `bits` (2 to 8), of a range that is usable. Activations:
/// asymmetric, per tensor. Weights, which are constants of `graph` (the one that was analyzed): per
/// channel, and the clip is that of the channel whose codes reach farthest.
std::vector<Clip> clips_of(const TensorRange& range, const Graph& graph, std::span<const int> bits);

}  // namespace nibble
#pragma GCC visibility pop
