// What evening out channels does to the noise of the layers behind them, predicted from moments.
#pragma once

#include <span>
#include <vector>

#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "nibble/ranges.h"
#include "quant/smoothing_sites.h"

namespace nibble {

/// Of a site: noise power over signal power in the results of the layers that read it, summed over
/// them. A weight adds step^2 / 12, where its step is that of the largest of those that share its
/// scale, times the power of its channel. So does an activation, for each weight that it meets:
/// as it is, what the best clipping of its histogram leaves; divided, when no histogram is known,
/// as if nothing could be clipped, so that clipping is never outdone by what only rivals it.
/// Channels are taken as independent.
class SmoothingNoise {
 public:
  /// `range` is of the site's value. `block_size`: SmoothingLayers.
  SmoothingNoise(const Graph& graph, const SmoothingSite& site, const TensorRange& range,
                 const BitPlan& plan, int64_t block_size);

  double as_it_is() const;
  /// With channel j divided by factor[j].
  double divided(std::span<const double> factor) const;
  /// Largest magnitude among the weights that meet each channel.
  const std::vector<double>& largest_weights() const { return largest_; }

 private:
  // A weight, as much of it as the noise hangs on. A group shares a scale.
  struct Layer {
    LayerBits bits;
    size_t groups = 0;
    double taps = 1;              // elements of one channel in one group
    std::vector<float> largest;   // [groups, channels]; 0: none
    std::vector<double> squares;  // sum, by channel
    double signal = 0;
    double activation_noise = 0;  // of a number of the activation as it is
  };

  Layer layer_of(const Graph& graph, const SmoothingReader& reader, LayerBits bits,
                 int64_t block_size);
  double weight_noise(const Layer& layer, std::span<const double> factor) const;

  const TensorRange& range_;
  std::vector<double> power_;  // by channel
  std::vector<double> largest_;
  std::vector<Layer> layers_;
};

}  // namespace nibble
