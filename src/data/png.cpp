// PNG by libpng's simplified interface, which contains its errors itself.
#include <png.h>

#include "base/check.h"
#include "data/codecs.h"

namespace nibble {
namespace {

class PngReader {
 public:
  explicit PngReader(std::span<const uint8_t> bytes) {
    image_.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image_, bytes.data(), bytes.size()) == 0) {
      fail(ErrorCode::invalid_data, "corrupt PNG: {}", image_.message);
    }
    if (int64_t{image_.height} * image_.width > kMaxPixels) {
      const auto height = image_.height;
      const auto width = image_.width;
      png_image_free(&image_);
      fail(ErrorCode::invalid_data, "the image is too large: {}x{} pixels", height, width);
    }
    // Samples of 16 bits are taken to be encoded like those of 8, not linear light.
    image_.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  }
  ~PngReader() { png_image_free(&image_); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  ImageSize size() const {
    return {static_cast<int>(image_.height), static_cast<int>(image_.width),
            (image_.format & PNG_FORMAT_FLAG_COLOR) != 0 ? 3 : 1};
  }

  // With alpha, which would else be blended with a background.
  std::vector<uint8_t> decode() {
    image_.format = size().channels == 3 ? PNG_FORMAT_RGBA : PNG_FORMAT_GA;
    std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image_));
    if (png_image_finish_read(&image_, nullptr, pixels.data(), 0, nullptr) == 0) {
      fail(ErrorCode::invalid_data, "corrupt PNG: {}", image_.message);
    }
    return pixels;
  }

 private:
  png_image image_{};
};

}  // namespace

ImageSize png_size(std::span<const uint8_t> bytes) { return PngReader(bytes).size(); }

Image decode_png(std::span<const uint8_t> bytes) {
  PngReader reader(bytes);
  const ImageSize size = reader.size();
  std::vector<uint8_t> pixels = reader.decode();
  const auto channels = static_cast<size_t>(size.channels);
  const size_t count = pixels.size() / (channels + 1);
  for (size_t i = 0; i < count; ++i) {
    for (size_t c = 0; c < channels; ++c) {
      pixels[i * channels + c] = pixels[i * (channels + 1) + c];
    }
  }
  pixels.resize(count * channels);
  return {size.height, size.width, size.channels, std::move(pixels)};
}

}  // namespace nibble
