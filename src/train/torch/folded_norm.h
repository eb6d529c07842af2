// Batch normalisation in training of what has none when it runs.
#pragma once

#include <torch/torch.h>

#include "nibble/graph.h"
#include "train/torch/rank_group.h"

namespace nibble {

/// A batch normalisation behind a convolution with a scale per output channel, into whose weights
/// and bias it is folded whenever the network runs or is exported:
///   y = gain * (z - mean) / sqrt(variance + epsilon) + shift,   z = conv(x, codes * scale)
///     = conv(x, codes * scale * factor) + (shift - mean * factor),   factor = gain / sqrt(...)
/// Training sees the statistics of the batch, so that no step of the codes shifts or stretches what
/// the layers behind get; the codes are the same folded or not, as a scale per channel takes the
/// factor up (Krishnamoorthi 2018, arXiv:1806.08342, section 3.2.2, with which quantized weights
/// depend on the running statistics alone). The convolution's bias is the shift.
class FoldedNorm {
 public:
  FoldedNorm(ValueId weight, ValueId bias, int64_t channels, torch::Device device);

  ValueId weight() const { return weight_; }
  ValueId bias() const { return bias_; }
  /// Learned, one per channel, above zero.
  const torch::Tensor& gain() const { return gain_; }
  const torch::Tensor& mean() const { return mean_; }
  const torch::Tensor& variance() const { return variance_; }
  /// [channels]; depends on the gain.
  torch::Tensor factor() const;
  /// A vector per output channel, shaped to broadcast against a weight.
  static torch::Tensor by_row(const torch::Tensor& channels, const torch::Tensor& weight);

  /// With the statistics of `z` ([n, channels, ...]), which move the running ones; `ranks`: of what
  /// all of them have. Null: there are no others.
  torch::Tensor run(const torch::Tensor& z, const torch::Tensor& shift, RankGroup* ranks);

  /// Adds to what start() goes by.
  void measure(const torch::Tensor& z);
  /// Begins as the convolution is, its outputs having been measured: the function of weight, scale
  /// and bias stays what it was, and so do codes, to the bit. Weight and scale get into the
  /// proportion in which z has a variance between 1/2 and 2. Without gradients.
  void start(torch::Tensor& weight, torch::Tensor& scale, torch::Tensor& bias);
  /// After each step of the optimizer: keeps the gain positive, as a scale has to be.
  void project();

 private:
  ValueId weight_, bias_;
  torch::Tensor gain_, mean_, variance_;
  torch::Tensor sum_, squares_;  // measured so far
  int64_t count_ = 0;
};

}  // namespace nibble
