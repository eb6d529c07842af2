// Rounding that can be learned: AdaRound's (Nagel et al. 2020, arXiv:2004.10568).
#pragma once

#include <torch/torch.h>

#include "train/torch/fake_quantize.h"

namespace nibble {

/// A weight between its two neighbouring codes: step * clamp(floor(weight / step) + h, low, high),
/// where h(v) = clamp(1.2 sigmoid(v) - 0.1, 0, 1).
class SoftRounding {
 public:
  /// `step` broadcasts against `weight`, as the range does. h starts where the weight lies.
  SoftRounding(const torch::Tensor& weight, const torch::Tensor& step, ClampRange range);
  /// h starts most of the way from there to the codes that `rounded` stands for. Of the two codes
  /// one is that one, the other its neighbour on the side of the weight.
  SoftRounding(const torch::Tensor& weight, const torch::Tensor& rounded, const torch::Tensor& step,
               ClampRange range);

  /// v: what is learned. A leaf that requires its gradient.
  const torch::Tensor& variable() const { return variable_; }
  /// The weight as it is now; differentiable.
  torch::Tensor soft() const;
  /// With each h rounded to 0 or 1.
  torch::Tensor hard() const;
  /// Mean over the elements of 1 - |2h - 1|^exponent: 0 where all are decided. Differentiable.
  torch::Tensor undecided(double exponent) const;

 private:
  void start(const torch::Tensor& share);
  torch::Tensor share() const;
  torch::Tensor on_grid(const torch::Tensor& share) const;

  torch::Tensor floor_, step_, variable_;
  ClampRange range_;
};

}  // namespace nibble
