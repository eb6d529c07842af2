#include "train/augmentations/list.h"
#include "train/augmentations/row.h"

namespace nibble {
namespace {

// What comes in at the border is zero: the middle of the numbers where they have a mean.
void crop(const Image& image, const TrainOptions& options, Random& random) {
  const ImageFormat& format = image.format;
  const int64_t padding = options.crop_padding;
  const auto shift = [&] {
    return static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * padding + 1))) - padding;
  };
  const int64_t dy = shift(), dx = shift();
  if (dy == 0 && dx == 0) return;
  std::vector<float> copy(image.numbers.begin(), image.numbers.end());
  const Image source{format, copy};
  for (int64_t c = 0; c < format.channels; ++c) {
    for (int64_t y = 0; y < format.height; ++y) {
      for (int64_t x = 0; x < format.width; ++x) {
        const int64_t from_y = y - dy, from_x = x - dx;
        const bool outside =
            from_y < 0 || from_y >= format.height || from_x < 0 || from_x >= format.width;
        image.at(c, y, x) = outside ? 0 : source.at(c, from_y, from_x);
      }
    }
  }
}

}  // namespace

AugmentationRow crop_augmentation() {
  return {strength({.flag = "--crop-padding",
                    .key = "crop_padding",
                    .help = "Augment: pad by this many pixels, then crop at random",
                    .least = 0},
                   &TrainOptions::crop_padding),
          crop};
}

}  // namespace nibble
