// Evening out the channels of activations before they share one scale: what stands before them is
// divided, and the weights behind them are multiplied, channel by channel. In real numbers the
// network stays what it was (SmoothQuant, arXiv:2211.10438; between convolutions cross-layer
// equalization, arXiv:1906.04721).
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"
#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

/// For each activation whose producer can take a factor per channel (a normalization, a Mul or Add
/// with a constant, a layer with weights, through Relu) and which only layers with weights read:
/// channel j is divided by reach[j]^share / weight[j]^(1 - share), where reach is the largest
/// magnitude in `ranges` and weight that of the weights that meet it, all factors over their
/// geometric mean. `graph` is prepared (prepare_for_quantization()), `ranges` are its. Returns the
/// names of the values changed; their ranges, and those of the weights, have to be measured anew.
/// `share` in (0, 1].
std::vector<std::string> smooth_activations(Graph& graph, const RangeReport& ranges, double share);

}  // namespace nibble
#pragma GCC visibility pop
