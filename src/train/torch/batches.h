// Training samples in shuffled, augmented batches; the next batch is decoded while the present one
// is trained on.
#pragma once

#include <torch/torch.h>

#include <future>
#include <optional>
#include <vector>

#include "nibble/train.h"

namespace nibble {

struct Batch {
  torch::Tensor samples;  // [n, sample...]
  torch::Tensor labels;   // [n], int64
};

/// One pass over a data set. Order and augmentation depend on seed and epoch alone.
class Batches {
 public:
  /// Training: shuffled and augmented as `options` say. Batches differ in size by at most one
  /// sample, so that no small remainder upsets batch statistics.
  static Batches shuffled(const Dataset& data, const TrainOptions& options, int epoch,
                          torch::Device device);
  /// Validation: in order, untouched.
  static Batches in_order(const Dataset& data, int batch, int threads, torch::Device device);

  int64_t count() const { return count_; }
  /// The next batch; none at the end. Throws what reading the samples throws.
  std::optional<Batch> next();

 private:
  struct Augmentation {
    bool flip = false;
    int crop_padding = 0;
    uint64_t seed = 0;  // of this epoch
  };
  Batches(const Dataset& data, std::vector<int64_t> order, int64_t batch, int threads,
          const Augmentation& augmentation, torch::Device device);
  static Tensor read(const Dataset& data, const std::vector<int64_t>& indices, int threads,
                     const Augmentation& augmentation);
  std::vector<int64_t> indices(int64_t batch) const;
  void prefetch();

  const Dataset* data_;
  std::vector<int64_t> order_;
  int64_t count_ = 0;
  int64_t position_ = 0;
  int threads_ = 1;
  Augmentation augmentation_;
  torch::Device device_;
  std::future<Tensor> pending_;
};

/// Mirrors `image` ([C,H,W]) left-right if `flip`, and shifts it by (dy, dx) pixels, filling with
/// zero.
void augment_image(std::span<float> image, const Shape& shape, bool flip, int64_t dy, int64_t dx);

}  // namespace nibble
