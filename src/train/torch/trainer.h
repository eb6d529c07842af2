// The training loop.
#pragma once

#include <memory>

#include "nibble/train.h"
#include "train/torch/batches.h"
#include "train/torch/loss.h"
#include "train/torch/network.h"

namespace nibble {

/// Trains `network` (and learns from `teacher`, if there is one) until the epochs are done.
class Trainer {
 public:
  Trainer(Network& network, Network* teacher, const Dataset& training, const Dataset& validation,
          const TrainOptions& options, torch::Device device);

  TrainResult run();

 private:
  void clip_gradients();
  double train_epoch(int epoch);
  void validate(Epoch& epoch);
  void step(const Batch& batch, int epoch, int64_t number, double& loss_sum);
  double learning_rate(int64_t step) const;
  bool resume();
  void save_checkpoint();
  std::string fingerprint() const;

  Network& network_;
  Network* teacher_;
  const Dataset& training_;
  const Dataset& validation_;
  const TrainOptions& options_;
  torch::Device device_;
  Head head_;
  int64_t steps_per_epoch_ = 0;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::vector<double> rate_factors_;  // by parameter group
  TrainResult result_;                // its graph is made at the end
  std::vector<torch::Tensor> best_;   // state of the best epoch
};

}  // namespace nibble
