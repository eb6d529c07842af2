// Augmentations: what training samples go through at random, so that no two epochs see the same.
// Each is a row; a sample's draws depend on seed, epoch and sample alone, so that neither threads
// nor a resumed training change them.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "base/options.h"
#include "base/random.h"
#include "nibble/train.h"

#pragma GCC visibility push(default)
namespace nibble {

/// How the images of a data set lie in memory, and what their numbers mean: the pixel behind x in
/// channel c is x * std[c] + mean[c], from 0 to `white`.
struct ImageFormat {
  int64_t channels = 0, height = 0, width = 0;
  bool channels_last = false;  // [H,W,C], not [C,H,W]
  std::vector<float> mean, std;
  float white = std::numeric_limits<float>::infinity();  // where it is not known
  std::vector<float> luma;  // what each channel weighs in grey; they add up to 1

  int64_t pixels() const { return height * width; }
};

/// Of samples that are one image each. Throws Error{invalid_argument} where they are not, naming
/// the flag that wants images.
ImageFormat image_format(const Dataset& data, std::string_view flag);

/// One sample.
struct Image {
  const ImageFormat& format;
  std::span<float> numbers;

  float& at(int64_t channel, int64_t y, int64_t x) const {
    const int64_t index = format.channels_last ? (y * format.width + x) * format.channels + channel
                                               : (channel * format.height + y) * format.width + x;
    return numbers[static_cast<size_t>(index)];
  }
};

/// An augmentation; a file of augmentations/ holds its row, and list.h names it.
struct AugmentationRow {
  OptionRow<TrainOptions> option;  // how strong; it is left out where this is as by default
  /// Changes one image. Null: it needs more than one sample, and Batches does it.
  void (*apply)(const Image& image, const TrainOptions& options, Random& random) = nullptr;
  bool needs_colour = false;  // three channels
};
/// In the order in which they are applied.
std::span<const AugmentationRow> augmentations();

/// Those that the options ask for, on the images of one data set.
class Augmenter {
 public:
  /// Throws Error{invalid_argument} where they do not fit the samples.
  Augmenter(const Dataset& data, const TrainOptions& options);

  /// Samples are to be real numbers, and go through apply().
  bool active() const { return !rows_.empty(); }
  /// `image` is sample number `index` in an epoch; `seed` is the epoch's.
  void apply(std::span<float> image, uint64_t seed, int64_t index) const;

 private:
  TrainOptions options_;
  ImageFormat format_;
  std::vector<const AugmentationRow*> rows_;
};

/// The share that a sample keeps where pairs are mixed: Beta(alpha, alpha), by Jöhnk's method.
double mixup_share(double alpha, Random& random);

}  // namespace nibble
#pragma GCC visibility pop
