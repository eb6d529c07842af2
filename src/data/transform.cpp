// ImageTransform: resize, crop, channel order, scale, mean, std.
#include <cmath>

#include "base/check.h"
#include "data/image.h"

namespace nibble {
namespace {

Image to_grey(const Image& image) {
  Image grey{image.height, image.width, 1, {}};
  grey.pixels.resize(image.pixels.size() / 3);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    grey.pixels[i] =
        static_cast<uint8_t>((19595U * p[0] + 38470U * p[1] + 7471U * p[2] + 32768U) >> 16U);
  }
  return grey;
}

// The margin before a centre crop, as torchvision rounds it.
int margin(int extent, int crop) { return static_cast<int>(std::nearbyint((extent - crop) / 2.0)); }

void require_per_channel(const std::vector<float>& values, int channels, const char* key) {
  if (values.empty() || static_cast<int>(values.size()) == channels) return;
  fail(ErrorCode::invalid_argument, "preprocess: {} has {} entries, the images have {} channels",
       key, values.size(), channels);
}

}  // namespace

Preprocess default_preprocess(int channels) {
  return {.color = channels == 1 ? Preprocess::Color::grey : Preprocess::Color::rgb};
}

ImageTransform::ImageTransform(const Preprocess& preprocess, const ImageSize& first)
    : preprocess_(preprocess) {
  const int channels = preprocess.color == Preprocess::Color::grey ? 1 : 3;
  require_per_channel(preprocess.mean, channels, "mean");
  require_per_channel(preprocess.std, channels, "std");
  if ((preprocess.resize_height > 0) != (preprocess.resize_width > 0) ||
      (preprocess.crop_height > 0) != (preprocess.crop_width > 0)) {
    fail(ErrorCode::invalid_argument, "preprocess: give both height and width, or neither");
  }
  for (int c = 0; c < channels; ++c) {
    const auto i = static_cast<size_t>(c);
    mean_.push_back(preprocess.mean.empty() ? 0.0F : preprocess.mean[i]);
    const float deviation = preprocess.std.empty() ? 1.0F : preprocess.std[i];
    if (!(deviation > 0)) {
      fail(ErrorCode::invalid_argument, "preprocess: std must be positive, got {}", deviation);
    }
    std_.push_back(deviation);
  }
  const ResizeWindow window = window_for(first.height, first.width);
  shape_ = Shape{channels, window.crop_height, window.crop_width};
}

ResizeWindow ImageTransform::window_for(int height, int width) const {
  ResizeWindow window{height, width, 0, 0, 0, 0};
  if (preprocess_.resize_height > 0) {
    window.height = preprocess_.resize_height;
    window.width = preprocess_.resize_width;
  } else if (preprocess_.resize_shorter > 0) {
    const int64_t shorter = preprocess_.resize_shorter;
    if (height <= width) {
      window.height = preprocess_.resize_shorter;
      window.width = static_cast<int>(shorter * width / height);
    } else {
      window.height = static_cast<int>(shorter * height / width);
      window.width = preprocess_.resize_shorter;
    }
  }
  window.crop_height = preprocess_.crop_height > 0 ? preprocess_.crop_height : window.height;
  window.crop_width = preprocess_.crop_width > 0 ? preprocess_.crop_width : window.width;
  if (window.crop_height > window.height || window.crop_width > window.width) {
    fail(ErrorCode::invalid_data,
         "the crop of {}x{} does not fit in the image of {}x{}; resize first", window.crop_height,
         window.crop_width, window.height, window.width);
  }
  window.top = margin(window.height, window.crop_height);
  window.left = margin(window.width, window.crop_width);
  return window;
}

void ImageTransform::apply(Image image, std::span<float> out) const {
  const ResizeWindow window = window_for(image.height, image.width);
  if (window.crop_height != shape_[1] || window.crop_width != shape_[2]) {
    fail(ErrorCode::invalid_data,
         "the image is {}x{} where the first one is {}x{}; images of different sizes need "
         "preprocessing with a resize or a crop",
         window.crop_height, window.crop_width, shape_[1], shape_[2]);
  }
  check(static_cast<int64_t>(out.size()) == shape_.elements(), "a sample's buffer has its size");
  if (preprocess_.color == Preprocess::Color::grey && image.channels == 3) image = to_grey(image);
  if (window.height != image.height || window.width != image.width ||
      window.crop_height != image.height || window.crop_width != image.width) {
    image = resize(image, window);
  }
  const size_t plane = static_cast<size_t>(shape_[1] * shape_[2]);
  const auto step = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < static_cast<size_t>(shape_[0]); ++c) {
    const size_t source = image.channels == 1                           ? 0
                          : preprocess_.color == Preprocess::Color::bgr ? 2 - c
                                                                        : c;
    const uint8_t* in = image.pixels.data() + source;
    float* to = out.data() + c * plane;
    for (size_t i = 0; i < plane; ++i) {
      to[i] = (static_cast<float>(in[i * step]) * preprocess_.scale - mean_[c]) / std_[c];
    }
  }
}

}  // namespace nibble
