// Batch normalisation with the statistics of the samples of all ranks.
#pragma once

#include <torch/torch.h>

#include "train/torch/rank_group.h"

namespace nibble {

/// What torch::batch_norm() does in training, the batch being that of all ranks together:
///   y = gain * (z - mean) / sqrt(variance + epsilon) + shift
/// with mean and variance over all axes but that of channels (1), and of running statistics, which
/// are moved in place by `new_share`. The gradients of gain and shift are those of this rank's
/// samples, to be added up like all others; that of z knows of the other ranks (Zhang et al. 2018,
/// arXiv:1803.08904, section 3.2).
torch::Tensor shared_batch_norm(const torch::Tensor& z, const torch::Tensor& gain,
                                const torch::Tensor& shift, const torch::Tensor& mean,
                                const torch::Tensor& variance, double new_share, double epsilon,
                                RankGroup& ranks);

}  // namespace nibble
