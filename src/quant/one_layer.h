// The float network with one layer of a quantized one: what that layer alone costs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "nibble/graph.h"
#include "quant/layers.h"

namespace nibble {

/// `graph` with the weight and the bias that this layer has in `quantized`, in reals.
Graph with_weights_of(const Graph& graph, const Graph& quantized, const Layer& layer);

/// Which activations of a quantized network are on a grid for the sake of which layer.
class LayerActivations {
 public:
  /// `graph` is the network that `quantized` was made of. A value belongs to the layers that read
  /// it, in equal parts; one that none reads to the layer whose result it comes from.
  LayerActivations(const Graph& graph, const Graph& quantized, const std::vector<Layer>& layers);

  /// `graph` with the activations of this layer on their grids: to be run with
  /// Arithmetic::fake_quantize.
  Graph with_activations_of(const Graph& graph, const std::string& layer) const;
  /// Of the noise that these make, the part that is the layer's own; 0 if it has none.
  double share_of(const std::string& layer) const;

 private:
  struct Typed {
    std::string path, value;
    QuantParams quant;
    double share = 1;
  };
  std::map<std::string, std::vector<Typed>> by_layer_;
};

/// It lies in the body of an If, Loop or Scan.
bool is_in_body(const Graph& model, const Layer& layer);

}  // namespace nibble
