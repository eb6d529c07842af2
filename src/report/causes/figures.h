// What statistics tell of each layer of a quantized network: how much error it adds, and how its
// numbers lie on their grids.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/evaluate.h"
#include "nibble/graph.h"
#include "nibble/ranges.h"

#pragma GCC visibility push(default)
namespace nibble {

/// One tensor and the codes that stand for it, rounded alone.
struct TensorFigures {
  std::string name;
  int bits = 0;
  double sqnr_db = 0;                  // of rounding this tensor, and nothing else; at most 150
  double low = 0, high = 0;            // where its codes end (weights: those of the widest channel)
  double step = 0;                     // the scale (weights: the largest)
  double minimum = 0, maximum = 0;     // of the values measured
  double clipped_share = 0;            // of the values, beyond the codes' ends
  double clipped_noise = 0;            // share of the rounding error that these make
  double bulk_low = 0, bulk_high = 0;  // 99.8 % of the values lie between; activations only
  bool symmetric = false;              // as many codes below zero as above
  /// Of channels: the one that reaches farthest (activations) or has the largest share of the
  /// rounding error (weights); -1 where they are not told apart.
  int64_t channel = -1;
  int64_t channels = 0;
  double channel_reach = 0, median_reach = 0;  // largest magnitude in it, and in the median one
  double channel_noise = 0;                    // its share of the rounding error; weights only
};

/// A layer, or another node whose result has codes of its own.
struct LayerFigures {
  std::string node;
  std::string op;
  std::string value;        // its result, behind the activation function that follows, if any
  int weight_bits = 0;      // 0: float, or no weight
  int activation_bits = 0;  // of its result; 0: float
  bool depthwise = false;
  int64_t terms = 0;  // products that a result is the sum of; 0: no weighted layer
  /// Of what it reads (the worst of them; factors together) and of its result, both in the
  /// quantized network: infinite where nothing is lost.
  double sqnr_before_db = 0;
  double sqnr_db = 0;
  /// Of the noise that all layers add, relative to the signal; in [0, 1], and 0 where it adds none.
  double share = 0;
  std::optional<TensorFigures> weight;
  std::optional<TensorFigures> input;  // of the network, where the layer reads it
  std::optional<TensorFigures> result;
};

/// Power of the noise relative to the signal's.
double noise_of(double sqnr_db);

/// In execution order. `errors` are compare_layers() of the two, `ranges` analyze() of the
/// reference on the same samples. What one graph has and the other has not is left out.
std::vector<LayerFigures> layer_figures(const Graph& reference, const Graph& quantized,
                                        const RangeReport& ranges,
                                        std::span<const LayerError> errors);

}  // namespace nibble
#pragma GCC visibility pop
