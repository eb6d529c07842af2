// Which decoder an image needs, by its first bytes.
#include <algorithm>
#include <array>

#include "base/check.h"
#include "data/codecs.h"

namespace nibble {
namespace {

constexpr std::array<uint8_t, 3> kJpeg = {0xFF, 0xD8, 0xFF};
constexpr std::array<uint8_t, 8> kPng = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

bool starts_with(std::span<const uint8_t> bytes, std::span<const uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

[[noreturn]] void fail_unknown(std::span<const uint8_t> bytes) {
  fail(ErrorCode::invalid_data, "{}",
       bytes.empty() ? "the file is empty" : "the file is neither a JPEG nor a PNG");
}

}  // namespace

Image decode_image(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, kJpeg)) return decode_jpeg(bytes);
  if (starts_with(bytes, kPng)) return decode_png(bytes);
  fail_unknown(bytes);
}

ImageSize image_size(std::span<const uint8_t> bytes) {
  if (starts_with(bytes, kJpeg)) return jpeg_size(bytes);
  if (starts_with(bytes, kPng)) return png_size(bytes);
  fail_unknown(bytes);
}

}  // namespace nibble
