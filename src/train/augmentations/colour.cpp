// Brightness, contrast and saturation, as torchvision's ColorJitter has them: each blends the image
// with black, with its mean grey, or with its own grey, by a factor drawn around 1.
#include <algorithm>

#include "train/augmentations/list.h"
#include "train/augmentations/row.h"

namespace nibble {
namespace {

double draw(double strength, Random& random) {
  const double low = std::max(0.0, 1 - strength);
  return low + (1 + strength - low) * random.uniform();
}

float pixel(const Image& image, int64_t c, int64_t y, int64_t x) {
  const auto at = static_cast<size_t>(c);
  return image.at(c, y, x) * image.format.std[at] + image.format.mean[at];
}

float grey(const Image& image, int64_t y, int64_t x) {
  float sum = 0;
  for (int64_t c = 0; c < image.format.channels; ++c) {
    sum += image.format.luma[static_cast<size_t>(c)] * pixel(image, c, y, x);
  }
  return sum;
}

// Each pixel becomes factor * pixel + (1 - factor) * other(y, x), within black and white.
template <typename Other>
void blend(const Image& image, double factor, const Other& other) {
  const ImageFormat& format = image.format;
  const auto mine = static_cast<float>(factor);
  for (int64_t y = 0; y < format.height; ++y) {
    for (int64_t x = 0; x < format.width; ++x) {
      const float rest = (1 - mine) * other(y, x);
      for (int64_t c = 0; c < format.channels; ++c) {
        const auto at = static_cast<size_t>(c);
        const float mixed = mine * pixel(image, c, y, x) + rest;
        // Without a white, numbers are no pixels: below zero is no less black.
        const float kept = format.white < std::numeric_limits<float>::infinity()
                               ? std::clamp(mixed, 0.0F, format.white)
                               : mixed;
        image.at(c, y, x) = (kept - format.mean[at]) / format.std[at];
      }
    }
  }
}

void brightness(const Image& image, const TrainOptions& options, Random& random) {
  blend(image, draw(options.brightness, random), [](int64_t, int64_t) { return 0.0F; });
}

void contrast(const Image& image, const TrainOptions& options, Random& random) {
  double sum = 0;
  for (int64_t y = 0; y < image.format.height; ++y) {
    for (int64_t x = 0; x < image.format.width; ++x) sum += grey(image, y, x);
  }
  const auto mean = static_cast<float>(sum / static_cast<double>(image.format.pixels()));
  blend(image, draw(options.contrast, random), [mean](int64_t, int64_t) { return mean; });
}

void saturation(const Image& image, const TrainOptions& options, Random& random) {
  blend(image, draw(options.saturation, random),
        [&image](int64_t y, int64_t x) { return grey(image, y, x); });
}

}  // namespace

AugmentationRow brightness_augmentation() {
  return {strength({.flag = "--brightness",
                    .key = "brightness",
                    .help = "Augment: brighten or darken by a factor from 1-X to 1+X",
                    .least = 0},
                   &TrainOptions::brightness),
          brightness};
}

AugmentationRow contrast_augmentation() {
  return {strength({.flag = "--contrast",
                    .key = "contrast",
                    .help = "Augment: likewise the distance from the image's mean grey",
                    .least = 0},
                   &TrainOptions::contrast),
          contrast};
}

AugmentationRow saturation_augmentation() {
  return {strength({.flag = "--saturation",
                    .key = "saturation",
                    .help = "Augment: likewise the distance of each pixel from its grey",
                    .least = 0},
                   &TrainOptions::saturation),
          saturation, true};
}

}  // namespace nibble
