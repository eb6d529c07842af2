#include "data/exif.h"

#include <algorithm>
#include <array>

namespace nibble {
namespace {

constexpr std::array<uint8_t, 6> kExif = {'E', 'x', 'i', 'f', 0, 0};
constexpr uint32_t kOrientation = 0x0112;
constexpr uint32_t kShort = 3;  // the type of the tag's value

// A TIFF file, little-endian ("II") or big-endian ("MM"). What lies beyond its end reads as zero.
class Tiff {
 public:
  explicit Tiff(std::span<const uint8_t> bytes)
      : bytes_(bytes), little_(!bytes.empty() && bytes[0] == 'I') {}

  uint32_t number(size_t at, size_t size) const {
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      const size_t from = at + (little_ ? size - 1 - i : i);
      value = value << 8U | (from < bytes_.size() ? bytes_[from] : 0U);
    }
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool little_;
};

}  // namespace

std::optional<int> exif_orientation(std::span<const uint8_t> segment) {
  if (segment.size() < kExif.size() || !std::equal(kExif.begin(), kExif.end(), segment.begin())) {
    return std::nullopt;
  }
  const Tiff tiff(segment.subspan(kExif.size()));
  if (tiff.number(2, 2) != 42) return std::nullopt;
  const size_t directory = tiff.number(4, 4);
  const size_t entries = tiff.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (tiff.number(entry, 2) != kOrientation || tiff.number(entry + 2, 2) != kShort) continue;
    const uint32_t value = tiff.number(entry + 8, 2);
    return value >= 1 && value <= 8 ? std::optional(static_cast<int>(value)) : std::nullopt;
  }
  return std::nullopt;
}

Image upright(Image image, int orientation) {
  if (orientation <= 1) return image;
  const bool swapped = swaps_sides(orientation);
  Image result{swapped ? image.width : image.height, swapped ? image.height : image.width,
               image.channels, std::vector<uint8_t>(image.pixels.size())};
  // Which side of the stored image the result's rows and columns run along, and from which end.
  const bool rows_back =
      orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool columns_back =
      orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  const auto channels = static_cast<size_t>(image.channels);
  uint8_t* to = result.pixels.data();
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x) {
      const int row = rows_back ? result.height - 1 - y : y;
      const int column = columns_back ? result.width - 1 - x : x;
      const int stored_row = swapped ? column : row, stored_column = swapped ? row : column;
      const size_t pixel = static_cast<size_t>(stored_row) * static_cast<size_t>(image.width) +
                           static_cast<size_t>(stored_column);
      to = std::copy_n(image.pixels.data() + pixel * channels, channels, to);
    }
  }
  return result;
}

}  // namespace nibble
