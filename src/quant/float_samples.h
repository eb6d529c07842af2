// The samples of the layers of a float network, for rounding methods that look at data.
#pragma once

#include <memory>
#include <string>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "ranges/rounding.h"

namespace nibble {

/// Runs the float network again for each layer that is looked at, so that memory does not grow with
/// the number of samples. `graph` and `data` must outlive it.
class FloatSamples {
 public:
  FloatSamples(const Graph& graph, const Dataset& data, int threads)
      : graph_(graph), data_(data), threads_(threads) {}

  /// Of the layer of this name (Layer::name). It must outlive what is returned.
  std::unique_ptr<LayerSamples> of(const std::string& layer) const;

 private:
  const Graph& graph_;
  const Dataset& data_;
  int threads_;
};

}  // namespace nibble
