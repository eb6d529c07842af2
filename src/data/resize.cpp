// Bilinear resizing with antialiasing: a triangle filter whose support is one pixel of the larger
// of the two grids; rows first, then columns, each pass rounded to bytes. Weights are fixed-point
// numbers of 22 bits, as in Pillow, so that ties fall alike; 255 * 2^22 fits an int32.
#include <algorithm>
#include <cmath>

#include "data/image.h"

namespace nibble {
namespace {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

// The input pixels that make one output pixel, and their weights (which sum to 2^22, or nearly so).
struct Tap {
  int first = 0;
  std::vector<int32_t> weights;
};

// Taps of outputs [begin, begin + count) of a line of `in` pixels resized to `out`.
std::vector<Tap> taps_of(int in, int out, int begin, int count) {
  const double scale = static_cast<double>(in) / out;
  const double support = std::max(scale, 1.0);
  std::vector<Tap> taps(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const double centre = (begin + i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int last = std::min(in, static_cast<int>(centre + support + 0.5));
    Tap& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    double sum = 0;
    std::vector<double> weights;
    for (int x = first; x < last; ++x) {
      weights.push_back(std::max(0.0, 1.0 - std::abs((x + 0.5 - centre) / support)));
      sum += weights.back();
    }
    for (double weight : weights) {
      tap.weights.push_back(static_cast<int32_t>(weight / sum * (1 << kBits) + 0.5));
    }
  }
  return taps;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

// Output pixel (y, x) = sum over k of weights[k] * in[y, taps[x].first + k].
void resize_rows(const Image& in, int first_row, const std::vector<Tap>& taps, Image& out) {
  const auto channels = static_cast<size_t>(in.channels);
  for (int y = 0; y < out.height; ++y) {
    const uint8_t* row = in.pixels.data() + static_cast<size_t>(first_row + y) *
                                                static_cast<size_t>(in.width) * channels;
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y) * taps.size() * channels;
    for (const Tap& tap : taps) {
      const uint8_t* from = row + static_cast<size_t>(tap.first) * channels;
      for (size_t c = 0; c < channels; ++c) {
        int32_t sum = kHalf;
        for (size_t k = 0; k < tap.weights.size(); ++k) {
          sum += tap.weights[k] * from[k * channels + c];
        }
        *to++ = to_byte(sum);
      }
    }
  }
}

// Output row y = sum over k of weights[k] * in row (taps[y].first - first_row + k).
void resize_columns(const Image& in, int first_row, const std::vector<Tap>& taps, Image& out) {
  const size_t row = static_cast<size_t>(in.width) * static_cast<size_t>(in.channels);
  std::vector<int32_t> sums(row);
  for (size_t y = 0; y < taps.size(); ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t k = 0; k < taps[y].weights.size(); ++k) {
      const uint8_t* from =
          in.pixels.data() + (static_cast<size_t>(taps[y].first - first_row) + k) * row;
      const int32_t weight = taps[y].weights[k];
      for (size_t i = 0; i < row; ++i) sums[i] += weight * from[i];
    }
    for (size_t i = 0; i < row; ++i) out.pixels[y * row + i] = to_byte(sums[i]);
  }
}

Image blank(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  image.pixels.resize(static_cast<size_t>(height) * static_cast<size_t>(width) *
                      static_cast<size_t>(channels));
  return image;
}

}  // namespace

Image resize(const Image& image, const ResizeWindow& window) {
  const auto across = taps_of(image.width, window.width, window.left, window.crop_width);
  const auto down = taps_of(image.height, window.height, window.top, window.crop_height);
  const int first_row = down.front().first;
  const int last_row = down.back().first + static_cast<int>(down.back().weights.size());
  Image narrow = blank(last_row - first_row, window.crop_width, image.channels);
  resize_rows(image, first_row, across, narrow);
  Image result = blank(window.crop_height, window.crop_width, image.channels);
  resize_columns(narrow, first_row, down, result);
  return result;
}

}  // namespace nibble
