#include <algorithm>

#include "train/augmentations/list.h"
#include "train/augmentations/row.h"

namespace nibble {
namespace {

// Its centre is anywhere in the image, so that less than the whole square may be within (DeVries
// and Taylor 2017, arXiv:1708.04552). Zero is the middle of the numbers where they have a mean.
void cutout(const Image& image, const TrainOptions& options, Random& random) {
  const ImageFormat& format = image.format;
  const auto from = [&](int64_t extent) {
    return static_cast<int64_t>(random.below(static_cast<uint64_t>(extent))) - options.cutout / 2;
  };
  const int64_t top = from(format.height), left = from(format.width);
  const int64_t bottom = std::min(top + options.cutout, format.height);
  const int64_t right = std::min(left + options.cutout, format.width);
  for (int64_t c = 0; c < format.channels; ++c) {
    for (int64_t y = std::max<int64_t>(top, 0); y < bottom; ++y) {
      for (int64_t x = std::max<int64_t>(left, 0); x < right; ++x) image.at(c, y, x) = 0;
    }
  }
}

}  // namespace

AugmentationRow cutout_augmentation() {
  return {strength({.flag = "--cutout",
                    .key = "cutout",
                    .help = "Augment: erase a square of this many pixels a side",
                    .least = 0},
                   &TrainOptions::cutout),
          cutout};
}

}  // namespace nibble
