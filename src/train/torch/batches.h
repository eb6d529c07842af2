// Training samples as the network takes them, in shuffled, augmented batches; the next batch is
// decoded while the present one is trained on.
#pragma once

#include <torch/torch.h>

#include <future>
#include <optional>
#include <vector>

#include "nibble/train.h"
#include "ranges/binding.h"

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
  int64_t count = 0;                  // samples, without those that fill it up
  bool starts_sequence = false;
  int64_t step_samples = 0;  // of all batches of its step
  bool ends_step = false;
};

/// One pass over a data set. Order and augmentation depend on seed and epoch alone.
class Batches {
 public:
  /// Training: shuffled (but for sequences) and augmented as `options` say. Steps differ in size by
  /// at most one sample, so that no small remainder upsets batch statistics.
  static Batches shuffled(const Dataset& data, const Feed& feed, const TrainOptions& options,
                          int epoch, torch::Device device);
  /// Validation: in order, untouched; `step` samples at a time, as far as the network can.
  static Batches in_order(const Dataset& data, const Feed& feed, int64_t step, int threads,
                          torch::Device device);

  /// The next batch; none at the end. Throws what reading the samples throws.
  std::optional<Batch> next();

 private:
  struct Augmentation {
    bool flip = false;
    int crop_padding = 0;
    uint64_t seed = 0;  // of this epoch
  };
  struct Part {
    std::vector<int64_t> indices;
    int64_t count = 0;  // without filling
    int64_t step_samples = 0;
    bool ends_step = false;
  };
  Batches(const Dataset& data, const Feed& feed, std::vector<int64_t> order, int64_t step,
          int threads, const Augmentation& augmentation, torch::Device device);
  static std::vector<Tensor> read(const Dataset& data, const Feed& feed,
                                  const std::vector<int64_t>& indices, int threads,
                                  const Augmentation& augmentation);
  void prefetch();

  const Dataset* data_;
  const Feed* feed_;
  std::vector<Part> parts_;
  size_t position_ = 0;
  int threads_ = 1;
  Augmentation augmentation_;
  torch::Device device_;
  std::future<std::vector<Tensor>> pending_;
};

/// Mirrors `image` ([C,H,W]) left-right if `flip`, and shifts it by (dy, dx) pixels, filling with
/// zero.
void augment_image(std::span<float> image, const Shape& shape, bool flip, int64_t dy, int64_t dx);

}  // namespace nibble
