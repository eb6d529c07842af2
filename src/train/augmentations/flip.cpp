#include <utility>

#include "train/augmentations/list.h"
#include "train/augmentations/row.h"

namespace nibble {
namespace {

void flip(const Image& image, const TrainOptions&, Random& random) {
  if (random.below(2) == 0) return;
  const ImageFormat& format = image.format;
  for (int64_t c = 0; c < format.channels; ++c) {
    for (int64_t y = 0; y < format.height; ++y) {
      for (int64_t x = 0; x < format.width / 2; ++x) {
        std::swap(image.at(c, y, x), image.at(c, y, format.width - 1 - x));
      }
    }
  }
}

}  // namespace

AugmentationRow flip_augmentation() {
  return {
      strength({.flag = "--flip", .key = "flip", .help = "Augment: mirror left-right at random"},
               &TrainOptions::flip),
      flip};
}

}  // namespace nibble
