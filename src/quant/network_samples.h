// The samples of the layers of a network, for rounding methods that look at data.
#pragma once

#include <memory>
#include <string>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "ranges/rounding.h"

namespace nibble {

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
