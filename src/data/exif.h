// How a camera was held: the orientation that EXIF stores in a JPEG's APP1 segment.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "data/image.h"

namespace nibble {

/// The tag Orientation (0x0112) of the first image file directory, in [1, 8]: 1 upright; 2 mirrored
/// from left to right; 3 turned by 180 degrees; 4 mirrored from top to bottom; 5 to 8 with height
/// and width exchanged (CIPA DC-008, 4.6.4). `segment` is that of APP1 without marker and length.
/// None if it holds no EXIF, no such tag, or is damaged: the pixels are then as they are.
std::optional<int> exif_orientation(std::span<const uint8_t> segment);

/// The orientations that exchange height and width.
inline bool swaps_sides(int orientation) { return orientation >= 5; }

/// The image as it was seen.
Image upright(Image image, int orientation);

}  // namespace nibble
