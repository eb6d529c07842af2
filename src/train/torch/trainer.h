// The training loop.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "nibble/train.h"
#include "train/torch/batches.h"
#include "train/torch/gradient_sum.h"
#include "train/torch/network.h"
#include "train/torch/objective.h"
#include "train/torch/optimizer.h"
#include "train/torch/pace.h"
#include "train/torch/rank_group.h"
#include "train/torch/run_facts.h"

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

  /// What is carried to the next batch; empty before the first one.
  std::vector<torch::Tensor> states() const;
  void set_states(const std::vector<torch::Tensor>& states);

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
  using Clock = std::chrono::steady_clock;
  /// Steps are done one after another, and nothing lasts from one to the next but what
  /// checkpoint.cpp saves.
  struct Position {
    int epoch = 0;
    int64_t step = 0;  // of this epoch, all before it are done
    double loss = 0;   // of this epoch, times samples
  };

  void require_mixable() const;
  void require_shareable() const;
  void agree_on_options();
  void copy_state_of_first();
  bool is_first() const { return group_ == nullptr || group_->rank() == 0; }
  void try_out();
  void measure_teacher();
  void train_epoch();
  void end_epoch();
  void validate(Epoch& epoch);
  bool is_better(const Epoch& epoch, const Epoch& other) const;
  bool lost_patience() const;
  void keep_best();
  void tell_step(const Batches& batches, double loss, int64_t samples);
  torch::Tensor loss_of(const Batch& batch, int64_t step);
  void update(double loss, int64_t samples);
  std::vector<torch::Tensor> ask_teacher(Player& teacher, const Batch& batch) const;
  int64_t global_step() const { return position_.epoch * steps_per_epoch_ + position_.step; }

  bool has_checkpoint() const;
  bool wants_checkpoint() const;
  void open_checkpoint();
  void save_checkpoint();
  void restore();
  [[noreturn]] void stop_for_now();

  Network& network_;
  Network* teacher_;
  const Dataset& training_;
  const Dataset& validation_;
  TrainOptions options_;
  RankGroup* group_;  // null: there are no others
  torch::Device device_;
  Feed feed_;
  Feed validation_feed_;
  Objective objective_;
  Player student_;
  std::optional<Player> teacher_player_;
  int64_t steps_per_epoch_ = 0;
  Schedule schedule_;
  Mover mover_;
  std::optional<GradientSum> sum_;  // over the ranks
  Position position_;
  TrainResult result_;               // its graph is made at the end
  std::vector<torch::Tensor> best_;  // state of the best epoch

  std::vector<TrainObserver*> observers_;
  std::vector<std::unique_ptr<TrainObserver>> logs_;
  Pace pace_;
  RunFacts facts_;
  std::unique_ptr<torch::serialize::InputArchive> checkpoint_;  // to go on from
  Clock::time_point saved_;
};

/// One thread per core, but one for a small network: a step of a few milliseconds gains little from
/// OpenMP's teams, and they were measured to cost it a factor of 50 on a machine that is busy with
/// something else. Depends on network, batch and cores only. `multiply_adds`: of a pass. `threads`:
/// how many are asked for; 0: none.
int choose_threads(int64_t multiply_adds, int threads);

}  // namespace nibble
