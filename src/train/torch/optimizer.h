// The optimizer of a training: which parameters it moves, how far, and when.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <vector>

#include "nibble/train.h"
#include "train/torch/network.h"

namespace nibble {

/// Linear warm-up, then a cosine down to zero at the last of all steps.
class Schedule {
 public:
  Schedule(const TrainOptions& options, int64_t steps_per_epoch);
  /// Of the step with this number, from 0.
  double at(int64_t step) const;

 private:
  double rate_ = 0;
  double warmup_ = 0, total_ = 0;  // steps
};

/// Moves the parameters of a network. AdamW moves every entry by about the learning rate, whatever
/// its size: each scale gets a group of its own with a rate in proportion to it, and where no label
/// says what is wanted (`taught`), each weight too.
class Mover {
 public:
  Mover(const Network& network, const TrainOptions& options, bool taught);

  /// Clips the gradients, moves at `rate`, and forgets the gradients.
  void step(double rate);
  void forget_gradients();

  void save(torch::serialize::OutputArchive& archive) const;
  void load(torch::serialize::InputArchive& archive);

 private:
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::vector<double> factors_;  // of the rate, by parameter group
};

}  // namespace nibble
