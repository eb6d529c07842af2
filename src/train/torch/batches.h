// Training samples as the network takes them, in shuffled, augmented batches; the next batch is
// decoded while the present one is trained on.
#pragma once

#include <torch/torch.h>

#include <future>
#include <memory>
#include <optional>
#include <vector>

#include "nibble/train.h"
#include "ranges/binding.h"
#include "train/augmentations/augmentation.h"
#include "train/torch/op.h"
#include "train/torch/rank_group.h"

namespace nibble {

/// How the samples of a data set go into a network, and how many of them at a time.
struct Feed {
  Binding binding;
  int64_t batch = 1;   // of a pass through the network, at most
  bool fills = false;  // it takes `batch` samples and no fewer
  /// As bind_samples() and SampleRunner have it, but that a first dimension of 1 that the network
  /// does not depend on is no limit. `wanted` samples are in a step.
  static Feed of(const Graph& graph, const Dataset& data, int64_t wanted, int threads);
  /// What both networks take; `teacher` may be null.
  static Feed of(const Graph& graph, const Graph* teacher, const Dataset& data, int64_t wanted,
                 int threads);
  bool in_sequence() const { return binding.carries(); }
};

/// What one pass through the network takes.
struct Batch {
  std::vector<torch::Tensor> inputs;  // by input of the graph; of states what they start from
  torch::Tensor labels;               // [fed], int64; undefined without labels
  /// Where pairs of samples are mixed: the labels of the others, which have the rest of the share.
  torch::Tensor other_labels;
  double share = 1;
  int64_t count = 0;  // samples, without those that fill it up
  bool starts_sequence = false;
  int64_t first = 0;         // place of its first sample in the order of the pass
  int64_t step_samples = 0;  // of all batches of its step, those of other ranks included
  int64_t number = 0;        // among them, from 0; on this rank
  /// With those of the other ranks all that the network is to see at once: TrainOptions::batch
  /// samples.
  bool whole = true;
  AmongRanks among;        // if it is whole
  bool ends_whole = true;  // the last of them
  bool ends_step = false;
};

/// One pass over a data set. Order and augmentation depend on seed and epoch alone; each rank gets
/// its share of the order that one would go through.
class Batches {
 public:
  /// Training: shuffled (but for sequences) and augmented as `options` say. Steps differ in size by
  /// at most one sample, so that no small remainder upsets batch statistics. The first
  /// `steps_done` of them are left out. The samples of each step are dealt out to `ranks` (null:
  /// there are no others).
  static Batches shuffled(const Dataset& data, const Feed& feed, const TrainOptions& options,
                          int epoch, int64_t steps_done, torch::Device device,
                          RankGroup* ranks = nullptr);
  /// Validation: in order, untouched; `step` samples at a time, as far as the network can. The
  /// steps are dealt out to `ranks`.
  static Batches in_order(const Dataset& data, const Feed& feed, int64_t step, int threads,
                          torch::Device device, RankGroup* ranks = nullptr);

  /// The next batch; none at the end. Throws what reading the samples throws.
  std::optional<Batch> next();
  /// How long next() waited for samples, in all, in seconds.
  double waited() const { return waited_; }

 private:
  struct Part {
    std::vector<int64_t> indices;
    std::vector<int64_t> partners;  // mixed with them; empty: with none
    Batch batch;                    // but for its tensors
  };
  /// What the thread that reads ahead knows.
  struct Reading {
    const Dataset* data;
    const Feed* feed;
    int threads;
    Augmenter augmenter;
    uint64_t seed;  // of this epoch
    double mixup;   // TrainOptions::mixup
  };
  struct Division {
    int64_t step = 1;        // samples
    int64_t accumulate = 1;  // batches that they are seen in
    int64_t steps_done = 0;
    RankGroup* ranks = nullptr;
    bool by_step = false;  // whole steps are dealt out, not the samples of each
  };
  Batches(std::vector<int64_t> order, const Division& division, Reading reading,
          torch::Device device);
  void add_step(std::span<const int64_t> samples, const Division& division, int64_t number,
                int64_t first);
  static std::vector<Tensor> read(const Reading& reading, const Part& part);
  void prefetch();

  std::shared_ptr<const Reading> reading_;
  std::vector<Part> parts_;
  size_t position_ = 0;
  torch::Device device_;
  double waited_ = 0;
  std::future<std::vector<Tensor>> pending_;
};

}  // namespace nibble
