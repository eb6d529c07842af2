// JPEG and PNG, each behind the same two functions; see decode_image for what they promise.
#pragma once

#include <span>

#include "data/image.h"

namespace nibble {

/// More pixels than this are refused before memory is taken for them.
constexpr int64_t kMaxPixels = int64_t{1} << 27;

Image decode_jpeg(std::span<const uint8_t> bytes);
ImageSize jpeg_size(std::span<const uint8_t> bytes);

Image decode_png(std::span<const uint8_t> bytes);
ImageSize png_size(std::span<const uint8_t> bytes);

}  // namespace nibble
