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

/// How weights of one quad and one block of `lanes` channels lie in memory.
enum class WeightFormat : uint8_t {
  quads_s8,   // [lanes][4] s8
  pairs_s16,  // [2][lanes][2] s16: weights 0 and 2 of each channel, then weights 1 and 3
};

struct MicroKernels {
  static constexpr int kMaxBlocks = 4;
  using Tile = void (*)(const TileArgs&);

  int lanes = 0;  // output channels in a vector
  WeightFormat format = WeightFormat::quads_s8;
  /// Most pixels of a tile with b + 1 blocks of channels; 0 where there is no such kernel.
  std::array<int, kMaxBlocks> max_pixels{};
  /// For `pixels` pixels and `blocks` blocks.
  Tile (*tile)(int pixels, int blocks) = nullptr;

  int64_t quad_bytes() const { return lanes * (format == WeightFormat::quads_s8 ? 4 : 8); }
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const MicroKernels& micro_kernels();

}  // namespace nibble
