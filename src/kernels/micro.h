// The innermost integer product: a tile of output pixels times a panel of output channels.
//
// Every convolution and matrix product is seen as pixels at a constant distance in memory, each of
// which needs `segment_count` runs of consecutive bytes (a run is one kernel row or tap) at fixed
// offsets. Runs are walked in quads of four bytes; a run whose length is not a multiple of four
// reads up to three bytes more, which meet zero weights.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "nibble/isa.h"

namespace nibble {

/// The output stage with its clamp in the form the kernels want it.
struct StageArgs {
  bool codes = true;
  int32_t zero_point = 0;
  float low = 0;  // codes: qmin - zero_point; reals: min
  float high = 0;
};

struct TileArgs {
  const uint8_t* input = nullptr;  // first pixel of the tile, first segment
  int64_t pixel_step = 0;          // bytes from pixel to pixel
  const int64_t* segments = nullptr;
  int64_t segment_count = 0;
  int64_t quads = 0;                   // in each segment
  int64_t run = 0;                     // quads whose products are added in 16 bits, see MicroForm
  const std::byte* weights = nullptr;  // first block of the panel
  int64_t block_step = 0;              // bytes from one block of `lanes` channels to the next
  const int32_t* bias = nullptr;       // of the panel, padded to whole blocks, like multiplier
  const float* multiplier = nullptr;
  const int32_t* pixel_bias = nullptr;  // one more addend for each pixel, or nullptr
  std::byte* output = nullptr;          // first pixel, first channel of the panel
  int64_t output_step = 0;              // bytes from pixel to pixel
  int64_t channels = 0;                 // of the panel that exist; the last block may be partial
  StageArgs stage;
};

/// How the weights of one block of `lanes` channels lie in memory, quad after quad.
enum class WeightFormat : uint8_t {
  nibbles,    // [lanes][4] bytes for two quads: w + 8 of the first in the low four bits
  quads_s8,   // [lanes][4] s8
  pairs_s16,  // [2][lanes][2] s16: weights 0 and 2 of each channel, then weights 1 and 3
};

/// Bytes of `quads` quads of a block.
constexpr int64_t format_bytes(WeightFormat format, int64_t lanes, int64_t quads) {
  switch (format) {
    case WeightFormat::nibbles:
      return (quads + 1) / 2 * lanes * 4;
    case WeightFormat::quads_s8:
      return quads * lanes * 4;
    case WeightFormat::pairs_s16:
      break;
  }
  return quads * lanes * 8;
}

/// One way of multiplying, and which weights it gets right.
struct MicroForm {
  static constexpr int kMaxBlocks = 4;
  using Tile = void (*)(const TileArgs&);

  WeightFormat format = WeightFormat::quads_s8;
  /// Products of at least so many quads are added in 16 bits (TileArgs::run says how many); 0: all
  /// sums have 32 bits.
  int64_t least_run = 0;
  /// Products are that many bits too far left when they are added in 32 bits.
  int shift = 0;
  /// Most pixels of a tile with b + 1 blocks of channels; 0 where there is no such kernel.
  std::array<int, kMaxBlocks> max_pixels{};
  /// For `pixels` pixels and `blocks` blocks.
  Tile (*tile)(int pixels, int blocks) = nullptr;
};

struct MicroKernels {
  int lanes = 0;  // output channels in a vector
  /// Best first; the last one is right for all weights. All have kernels for the same numbers of
  /// blocks.
  std::span<const MicroForm> forms;

  const MicroForm& any() const { return forms.back(); }
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const MicroKernels& micro_kernels();

}  // namespace nibble
