// Evening out the channels of activations before they share one scale: what stands before them is
// divided, and the weights behind them are multiplied, channel by channel. In real numbers the
// network stays what it was (SmoothQuant, arXiv:2211.10438; between convolutions cross-layer
// equalization, arXiv:1906.04721; for weights alone AWQ, arXiv:2306.00978).
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

/// How much of the differences between channels the weights take over.
struct Smoothing {
  double share = 0;       // in [0, 1], everywhere; 0: none
  bool by_noise = false;  // instead: for each activation what predicts the least noise

  bool any() const { return by_noise || share > 0; }
  bool operator==(const Smoothing&) const = default;
};

/// What is known of the layers: their bits, and the blocks of weights that share a scale.
struct SmoothingLayers {
  const BitPlan& plan;
  int64_t weight_block_size = 0;  // of layers whose activations stay in float
};

/// An activation that was evened out, or would be.
struct SmoothedActivation {
  std::string name;
  double share = 0;
  double gain_db = 0;    // of predicted noise in the results of the layers that read it
  bool absorbed = true;  // false: a Mul stands before the layers
};

/// For each activation whose producer can take a factor per channel (a normalization, a Mul or Add
/// with a constant, a layer with weights, through Relu) and which only layers with weights read:
/// channel j is divided by reach[j]^share / weight[j]^(1 - share), where reach is the largest
/// magnitude in `ranges` and weight that of the weights that meet it, all factors over their
/// geometric mean; below it none is divided. `by_noise` takes, of shares 0.1 to 1, the one that
/// predicts the least noise, where it gains 2 dB; and where nothing can take the factors and matrix
/// products read the activation, it puts a multiplication before these. `graph` is prepared
/// (prepare_for_quantization()), `ranges` are its. The ranges of what it returns, and those of the
/// weights, have to be measured anew.
std::vector<SmoothedActivation> smooth_activations(Graph& graph, const RangeReport& ranges,
                                                   const Smoothing& smoothing,
                                                   const SmoothingLayers& layers);

/// What that would return by noise; changes nothing.
std::vector<SmoothedActivation> smoothing_gains(const Graph& graph, const RangeReport& ranges,
                                                const SmoothingLayers& layers);

}  // namespace nibble
#pragma GCC visibility pop
