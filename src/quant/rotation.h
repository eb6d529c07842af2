// Mixing the channels of activations by an orthogonal matrix, so that none is louder than the
// others: the matrix goes into the constants around them, and nothing is added to the network. In
// real numbers it stays what it was (QuaRot, arXiv:2404.00456; SpinQuant, arXiv:2405.16406).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "nibble/ranges.h"
#include "quant/channel_spaces.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Which channels are mixed.
enum class Rotation : uint8_t {
  none,
  by_noise,  // where it lowers the noise that ranges predict
  all,       // wherever constants can take it
};

/// The graph with the channels of the spaces mixed, each by a matrix of its own drawn by the seed.
/// `graph` is prepared, the spaces are its. Scales and shifts of normalizations move into the
/// products that read them, the others become 1 and 0.
Graph rotate_channels(const Graph& graph, const std::vector<ChannelSpace>& spaces, uint64_t seed);

/// What rounding the space's activations and weights loses, as parts of their power, summed over
/// them: activations that layers or products of activations read as codes, with the best clipping
/// of their histograms; weights with a scale for each output channel. What an orthogonal matrix
/// does leaves their power, and what becomes of the noise behind them, as they are. `graph` may
/// be rotated; `ranges` are its.
double predicted_noise(const Graph& graph, const RangeReport& ranges, const ChannelSpace& space,
                       const BitPlan& plan);

}  // namespace nibble
#pragma GCC visibility pop
