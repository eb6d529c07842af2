// Gradients of all ranks, added up while the backward pass is still at work on others.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "train/torch/network.h"
#include "train/torch/rank_group.h"

namespace nibble {

/// What all ranks are told of a step: sums over them.
struct StepSums {
  double loss = 0;
  bool stop = false;  // some rank was asked to stop
};

/// Parameters lie in buckets, the last ones first, as backward passes come to them. A bucket whose
/// gradients are all there is summed up in the background; buckets are sent in the same order by
/// all ranks (Li et al., "PyTorch Distributed", 2020, arXiv:2006.15704).
class GradientSum {
 public:
  /// Of the parameters of `network`, all of them reals. Both outlive it.
  GradientSum(const Network& network, RankGroup& ranks);
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;
  GradientSum& operator=(const GradientSum&) = delete;

  /// Differentiates; the gradients are added to those there are. `last`: of the step, on this rank.
  void backward(const torch::Tensor& loss, bool last);
  /// Waits until the gradients are the sums over all ranks: of a parameter that no rank reached,
  /// none. `mine`: of this rank.
  StepSums finish(const StepSums& mine);

 private:
  struct Bucket {
    std::vector<size_t> parameters;
    std::vector<int64_t> offsets;  // in `sums`, parallel
    torch::Tensor sums;
    size_t missing = 0;  // gradients that are not there yet
    std::unique_ptr<RankGroup::Pending> pending;
  };
  class Hook;

  void reached(size_t parameter);
  void send_ready();
  void send(Bucket& bucket);

  RankGroup& ranks_;
  std::vector<torch::Tensor> parameters_;
  std::vector<std::shared_ptr<torch::autograd::Node>> nodes_;  // that add up a parameter's gradient
  std::vector<uintptr_t> hooks_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;  // by parameter
  size_t sent_ = 0;                // the first so many buckets
  bool sending_ = false;
};

}  // namespace nibble
