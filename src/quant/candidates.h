// Which layers have a choice of bit-widths, and the networks in which all of them made the same.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nibble/quantize.h"
#include "quant/layers.h"

namespace nibble {

/// Weight bits that stand for a layer in float: those of LayerBits.
constexpr int kFloat = 0;

struct Candidates {
  std::vector<Layer> layers;
  std::vector<std::vector<int>> bits;  // of weights, by layer, widest first: kFloat before all
  std::vector<int64_t> weights;        // by layer

  /// The weight bits of a layer by an option of each.
  int bits_of(size_t layer, const std::vector<size_t>& chosen) const {
    return bits[layer][chosen[layer]];
  }
  /// Over the weights of the layers that are not in float; 0 of none.
  double average_bits(const std::vector<size_t>& chosen) const;
};
/// Of a graph that is prepared. `in_float`: layers that nothing is said of may stay in float, too.
/// Throws Error{invalid_argument} if there are none.
Candidates find_candidates(const Graph& graph, const ChooseOptions& options, bool in_float);

/// Layers with given bits have them; those to be skipped stay in float.
BitPlan given_plan(const ChooseOptions& options);
BitPlan plan_of(const Candidates& candidates, const std::vector<size_t>& chosen,
                const ChooseOptions& options);
/// How quantize() makes networks to be compared: what learns on a whole network is not told apart
/// by layers, and stays out.
QuantizeOptions options_of_variants(const ChooseOptions& options, const Dataset& data);

/// The network as quantize() would make it with all layers that have a choice at the same bits; one
/// for each bit-width there is to choose.
class Variants {
 public:
  Variants(const Graph& graph, const RangeReport& ranges, const Dataset& data,
           const Candidates& candidates, const ChooseOptions& options);

  const std::map<int, Graph>& all() const { return graphs_; }
  /// Of the one in which a layer that may have `bits` bits has them. A layer without a choice has
  /// its bits in all of them.
  int bits_of(int bits) const { return graphs_.contains(bits) ? bits : graphs_.rbegin()->first; }
  const Graph& at(int bits) const { return graphs_.at(bits_of(bits)); }
  /// The option of each layer that it has in the one of `bits`.
  static std::vector<size_t> chosen_in(int bits, const Candidates& candidates);

 private:
  std::map<int, Graph> graphs_;
};

}  // namespace nibble
