// Quantized training for runtimes that add products of a layer in pairs of 16 bits
// (nibble/pair_order.h): the learned scales stay where no pair can saturate.
#pragma once

#include <torch/torch.h>

#include "ops/weight_pairs.h"

namespace nibble {

class PairLimit {
 public:
  PairLimit(const WeightPairs& pairs, torch::Device device);

  /// By entry of the `scales` of a weight (one, or one per output channel), the largest PairSum of
  /// its codes, given in the weight's shape.
  torch::Tensor worst(const torch::Tensor& codes, int64_t scales) const;

 private:
  int64_t rows_ = 1;
  torch::Tensor elements_;  // i32: two for each pair, row by row; one past the last for none
};

}  // namespace nibble
