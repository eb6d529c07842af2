// Training on from a dynamically quantized network.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nibble/graph.h"
#include "nibble/target.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A dynamically quantized network as one that can be trained: layers of float data whose weights
/// are quantized constants. What data lose at 8 bits, with ranges of their own for each sample, is
/// little beside what weights lose, and is left out in training.
class DynamicTraining {
 public:
  /// A ConvInteger or MatMulInteger with its scaling becomes a Conv or MatMul; the rest stays, and
  /// so do layers that share their scales or codes with others in a way that learning would break.
  explicit DynamicTraining(const Graph& dynamic);

  const Graph& trainable() const { return trainable_; }
  /// Of layers; 0: there is nothing that could be trained.
  size_t size() const { return layers_.size(); }

  /// The dynamic network with the codes, scales and float constants of `trained`, which is what
  /// trainable() became. No sum or pair of products overflows that did not have to.
  Graph put_back(const Graph& trained, const Target& target,
                 std::span<const PairOrder> orders) const;

 private:
  struct DynamicLayer {
    std::string weight, scale;  // constants' names
    bool conv = false;
  };
  void open(NodeId id);

  Graph dynamic_;
  Graph trainable_;
  std::vector<DynamicLayer> layers_;
};

}  // namespace nibble
#pragma GCC visibility pop
