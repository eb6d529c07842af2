// The samples of the layers of a network, for rounding methods that look at data.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "ranges/rounding.h"
#include "ranges/sample_runner.h"

namespace nibble {

/// The part of the network that computes some values, which it gives, as reals, as its last
/// outputs. Where states are carried from sample to sample, what they are carried from goes on
/// before them.
Graph part_giving(const Graph& graph, const Dataset& data, std::span<const ValueId> wanted);

/// Runs the network again for each layer that is looked at, as far as that layer, so that memory
/// does not grow with the number of samples.
class NetworkSamples {
 public:
  /// `real` is the float network, `data` what it is run on; both must outlive it.
  NetworkSamples(const Graph& real, const Dataset& data, int threads);

  /// Of the layer of this name (Layer::name). `quantized` is the network whose layers before this
  /// one are quantized already, as it is now; nullptr if that cannot be run: the float network's
  /// data then stand for it. This must outlive what is returned.
  std::unique_ptr<LayerSamples> of(const std::string& layer, const Graph* quantized) const;

 private:
  const Graph& real_;
  const Dataset& data_;
  int threads_;
  bool has_bodies_ = false;
  int64_t batch_ = 1;
};

}  // namespace nibble
