// ImageTransform: resize, crop, channel order, scale, mean, std.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "data/image.h"

namespace nibble {
namespace {

constexpr int kMaxExtent = 1 << 15;  // as for the keys of the JSON form

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

void check_sizes(const Preprocess& preprocess) {
  for (const int extent :
       {preprocess.resize_shorter, preprocess.resize_height, preprocess.resize_width,
        preprocess.crop_height, preprocess.crop_width}) {
    if (extent >= 0 && extent <= kMaxExtent) continue;
    fail(ErrorCode::invalid_argument, "preprocess: {} pixels where at most {} are possible", extent,
         kMaxExtent);
  }
  if ((preprocess.resize_height > 0) != (preprocess.resize_width > 0) ||
      (preprocess.crop_height > 0) != (preprocess.crop_width > 0)) {
    fail(ErrorCode::invalid_argument, "preprocess: give both height and width, or neither");
  }
  if (!preprocess.letterbox) return;
  if (preprocess.resize_height <= 0 || preprocess.crop_height > 0) {
    fail(ErrorCode::invalid_argument,
         "preprocess: a letterbox needs resize_height and resize_width, and no crop");
  }
  if (preprocess.pad_value < 0 || preprocess.pad_value > 255) {
    fail(ErrorCode::invalid_argument, "preprocess: pad_value must be in [0, 255], got {}",
         preprocess.pad_value);
  }
}

}  // namespace

Preprocess default_preprocess(int channels) {
  return {.color = channels == 1 ? Preprocess::Color::grey : Preprocess::Color::rgb};
}

Preprocess chosen_preprocess(const Preprocess& own, const DataOptions& options) {
  if (options.preprocess) return *options.preprocess;
  const auto is_images = [](const Field& input) {
    return input.shape.has_rank() && input.shape.rank() == 4;
  };
  const auto at = std::ranges::find_if(options.inputs, is_images);
  Preprocess chosen = own;
  if (at == options.inputs.end()) return chosen;
  const auto is_channels = [&](int axis) { return at->shape[axis] == 1 || at->shape[axis] == 3; };
  const bool last = is_channels(3) && !is_channels(1);
  if (last) chosen.layout = Preprocess::Layout::hwc;
  const int64_t channels = at->shape[last ? 3 : 1];
  if (channels == 1) chosen.color = Preprocess::Color::grey;
  if (channels == 3 && own.color == Preprocess::Color::grey) chosen.color = Preprocess::Color::rgb;
  if (at->dtype == DType::u8) chosen.scale = 1;
  return chosen;
}

ImageTransform::ImageTransform(const Preprocess& preprocess, const ImageSize& first)
    : preprocess_(preprocess), channels_(preprocess.color == Preprocess::Color::grey ? 1 : 3) {
  require_per_channel(preprocess.mean, channels_, "mean");
  require_per_channel(preprocess.std, channels_, "std");
  check_sizes(preprocess);
  for (int c = 0; c < channels_; ++c) {
    const auto i = static_cast<size_t>(c);
    mean_.push_back(preprocess.mean.empty() ? 0.0F : preprocess.mean[i]);
    const float deviation = preprocess.std.empty() ? 1.0F : preprocess.std[i];
    if (!(deviation > 0)) {
      fail(ErrorCode::invalid_argument, "preprocess: std must be positive, got {}", deviation);
    }
    std_.push_back(deviation);
  }
  const ResizeWindow window = window_for(first.height, first.width);
  height_ = window.crop_height;
  width_ = window.crop_width;
  shape_ = preprocess.layout == Preprocess::Layout::hwc ? Shape{height_, width_, channels_}
                                                        : Shape{channels_, height_, width_};
}

// With a letterbox: of the canvas, whatever the image's size.
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

Image ImageTransform::letterboxed(const Image& image) const {
  const double ratio = std::min(static_cast<double>(height_) / image.height,
                                static_cast<double>(width_) / image.width);
  const auto scaled = [&](int extent, int most) {
    return std::clamp(static_cast<int>(std::lround(extent * ratio)), 1, most);
  };
  const int height = scaled(image.height, height_), width = scaled(image.width, width_);
  const bool fits = height == image.height && width == image.width;
  const Image small = fits ? image : resize(image, {height, width, 0, 0, height, width});
  Image canvas{height_, width_, image.channels, {}};
  const auto channels = static_cast<size_t>(image.channels);
  canvas.pixels.assign(static_cast<size_t>(height_) * static_cast<size_t>(width_) * channels,
                       static_cast<uint8_t>(preprocess_.pad_value));
  const auto row = static_cast<size_t>(width) * channels;
  const auto left = static_cast<size_t>((width_ - width) / 2) * channels;
  const auto top = static_cast<size_t>((height_ - height) / 2);
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    std::copy_n(small.pixels.data() + y * row, row,
                canvas.pixels.data() + (top + y) * static_cast<size_t>(width_) * channels + left);
  }
  return canvas;
}

void ImageTransform::apply(Image image, std::span<float> out) const {
  const ResizeWindow window = window_for(image.height, image.width);
  if (window.crop_height != height_ || window.crop_width != width_) {
    fail(ErrorCode::invalid_data,
         "the image is {}x{} where the first one is {}x{}; images of different sizes need "
         "preprocessing with a resize or a crop",
         window.crop_height, window.crop_width, height_, width_);
  }
  check(static_cast<int64_t>(out.size()) == shape_.elements(), "a sample's buffer has its size");
  if (preprocess_.color == Preprocess::Color::grey && image.channels == 3) image = to_grey(image);
  if (preprocess_.letterbox) {
    image = letterboxed(image);
  } else if (window.height != image.height || window.width != image.width ||
             window.crop_height != image.height || window.crop_width != image.width) {
    image = resize(image, window);
  }
  write(image, out);
}

void ImageTransform::write(const Image& image, std::span<float> out) const {
  const size_t plane = static_cast<size_t>(height_) * static_cast<size_t>(width_);
  const auto step = static_cast<size_t>(image.channels), channels = static_cast<size_t>(channels_);
  const bool last = preprocess_.layout == Preprocess::Layout::hwc;
  for (size_t c = 0; c < channels; ++c) {
    const size_t source = image.channels == 1                           ? 0
                          : preprocess_.color == Preprocess::Color::bgr ? 2 - c
                                                                        : c;
    const uint8_t* in = image.pixels.data() + source;
    float* to = out.data() + (last ? c : c * plane);
    const size_t stride = last ? channels : 1;
    for (size_t i = 0; i < plane; ++i) {
      to[i * stride] = (static_cast<float>(in[i * step]) * preprocess_.scale - mean_[c]) / std_[c];
    }
  }
}

}  // namespace nibble
