// Images as bytes: decoding, resizing, and the way from an image to the floats of a sample.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "data/bytes.h"
#include "nibble/data.h"

namespace nibble {

/// Interleaved bytes [height, width, channels], 1 (grey) or 3 (RGB) channels.
struct Image {
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<uint8_t> pixels;
};

/// Height, width and channels without decoding the pixels.
struct ImageSize {
  int height = 0;
  int width = 0;
  int channels = 0;
  bool operator==(const ImageSize&) const = default;
};

/// JPEG or PNG, known by its first bytes. CMYK becomes RGB, palettes and 16 bits become 8, alpha is
/// dropped. Throws Error{invalid_data} (without the file's name: the caller adds it) for anything
/// truncated, corrupt, of another kind, or of more than 2^27 pixels.
Image decode_image(std::span<const uint8_t> bytes);
ImageSize image_size(std::span<const uint8_t> bytes);

/// Part of an image resized to `height` x `width`: the window of `crop_height` x `crop_width` at
/// (top, left). Only the window is computed. Filter and rounding: see Preprocess.
struct ResizeWindow {
  int height = 0;
  int width = 0;
  int top = 0;
  int left = 0;
  int crop_height = 0;
  int crop_width = 0;
};
Image resize(const Image& image, const ResizeWindow& window);

/// Preprocess, checked, for images that are to become samples of one shape.
class ImageTransform {
 public:
  /// `preprocess` with the first image's size. Throws Error{invalid_argument}/{invalid_data} if
  /// the two do not go together.
  ImageTransform(const Preprocess& preprocess, const ImageSize& first);

  const Preprocess& preprocess() const { return preprocess_; }
  Shape output_shape() const { return shape_; }
  /// Writes output_shape().elements() floats. An image that comes out in another shape than the
  /// first one: Error{invalid_data} that says what to do.
  void apply(Image image, std::span<float> out) const;

 private:
  ResizeWindow window_for(int height, int width) const;
  Image letterboxed(const Image& image) const;
  void write(const Image& image, std::span<float> out) const;

  Preprocess preprocess_;
  int height_ = 0, width_ = 0, channels_ = 0;
  Shape shape_;
  std::vector<float> mean_, std_;
};

/// What a source uses when the caller names no preprocessing: 1/255, colours as they are.
Preprocess default_preprocess(int channels);
/// What the caller says; else the source's `own` as the model's input of images wants it: its
/// layout, its channels, and bytes as they are where it takes bytes.
Preprocess chosen_preprocess(const Preprocess& own, const DataOptions& options);

}  // namespace nibble
