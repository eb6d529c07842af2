// The training loop.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "nibble/train.h"
#include "train/torch/batches.h"
#include "train/torch/network.h"
#include "train/torch/objective.h"

namespace nibble {

/// A network at work on samples: its inputs in the order of the trained one's, its states.
class Player {
 public:
  /// `inputs` are those of the graph whose batches are played: another network of the same inputs
  /// and outputs by name gets them in its own order. `wanted`: see run().
  Player(Network& network, const Graph& graph, const Feed& feed, std::vector<ValueId> wanted);

  /// The wanted values for a batch; states go on from the last one.
  std::vector<torch::Tensor> run(const Batch& batch, const Network::Mode& mode);
  /// What is behind does not count in gradients any more.
  void detach();

 private:
  struct State {
    size_t input = 0;   // of this network
    size_t output = 0;  // index into wanted_
    torch::Tensor last;
  };
  Network& network_;
  std::vector<size_t> order_;  // by input of this network: of the batches
  std::vector<ValueId> wanted_;
  size_t asked_ = 0;  // the first so many; the rest are states
  std::vector<State> states_;
};

/// Trains `network` (and learns from `teacher`, if there is one) until the epochs are done.
class Trainer {
 public:
  Trainer(Network& network, Network* teacher, const Dataset& training, const Dataset& validation,
          const TrainOptions& options, torch::Device device);

  TrainResult run();

 private:
  void try_out();
  void measure_teacher();
  void clip_gradients();
  double train_epoch(int epoch);
  void validate(Epoch& epoch);
  void keep_best();
  torch::Tensor loss_of(const Batch& batch, int64_t step);
  void update(double loss, int epoch, int64_t number);
  std::vector<torch::Tensor> ask_teacher(Player& teacher, const Batch& batch) const;
  double learning_rate(int64_t step) const;
  bool resume();
  void save_checkpoint();
  std::string fingerprint() const;

  Network& network_;
  Network* teacher_;
  const Dataset& training_;
  const Dataset& validation_;
  TrainOptions options_;
  torch::Device device_;
  Feed feed_;
  Feed validation_feed_;
  Objective objective_;
  Player student_;
  std::optional<Player> teacher_player_;
  int64_t steps_per_epoch_ = 0;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::vector<double> rate_factors_;  // by parameter group
  TrainResult result_;                // its graph is made at the end
  std::vector<torch::Tensor> best_;   // state of the best epoch
};

/// One thread per core, but one for a small network: a step of a few milliseconds gains little from
/// OpenMP's teams, and they were measured to cost it a factor of 50 on a machine that is busy with
/// something else. Depends on network, batch and cores only. `multiply_adds`: of a pass. `threads`:
/// how many are asked for; 0: none.
int choose_threads(int64_t multiply_adds, int threads);

}  // namespace nibble
