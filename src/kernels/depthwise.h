// Depthwise convolution: each channel has its own filter. The taps of 16, 32 or 64 neighbouring
// channels are interleaved on the fly, so that one instruction sums several taps of each channel.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/micro.h"
#include "kernels/output_stage.h"
#include "kernels/packed_product.h"
#include "nibble/isa.h"

namespace nibble {

/// One line of pixels, one block of channels.
struct DepthwiseArgs {
  const uint8_t* input = nullptr;
  int64_t pixel_step = 0;
  const int64_t* taps = nullptr;  // offsets, padded to whole groups of taps
  int64_t groups = 0;
  const std::byte* weights = nullptr;
  const int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  std::byte* output = nullptr;
  int64_t output_step = 0;
  int64_t pixels = 0;
  int64_t channels = 0;  // of the block that exist
  StageArgs stage;
};

/// A vector has `block / 16` lanes of 16 bytes. Interleaving leaves channel 16 * lane + 4 * i + j
/// of the block in accumulator i, at position 4 * lane + j; bias and multiplier lie in that order:
/// [4][lanes][4], and weights [groups][4][lanes][4][taps] of s8 (four taps) or s16 (two).
struct DepthwiseKernels {
  int64_t block = 0;  // channels
  int64_t taps = 0;   // in a group
  void (*line)(const DepthwiseArgs&) = nullptr;
};
/// Those of an instruction set, defined in its own file.
template <Isa isa>
const DepthwiseKernels& depthwise_kernels();

class PackedDepthwise {
 public:
  struct Shape {
    std::vector<int64_t> taps;  // byte offsets from a pixel's first byte
    int64_t channels = 0;
    bool adjacent = false;  // the inputs of neighbouring pixels lie side by side
  };
  /// `weights` is [channels, taps].
  PackedDepthwise(const DepthwiseKernels& kernels, Shape shape, std::span<const int8_t> weights,
                  std::span<const int32_t> bias, int32_t input_zero_point,
                  const OutputStage& stage);

  /// Writes [images * lines * pixels, channels]; reads no byte outside the taps.
  void run(const PixelLines& lines, void* output, ThreadPool& pool) const {
    run(lines, bias_.data(), multiplier_.data(), output, pool);
  }
  /// The same with another bias and multiplier, in the order of bias() and multiplier().
  void run(const PixelLines& lines, const int32_t* bias, const float* multiplier, void* output,
           ThreadPool& pool) const;
  std::span<const int32_t> bias() const { return bias_; }
  std::span<const float> multiplier() const { return multiplier_; }
  size_t constant_bytes() const;

 private:
  int64_t first_slot(int64_t block) const;
  void run_line(DepthwiseArgs args, const uint8_t* input, std::byte* output, int64_t pixels) const;

  const DepthwiseKernels& kernels_;
  std::vector<int64_t> taps_;
  int64_t tap_count_;
  int64_t channels_;
  // With few channels, a block holds this many adjacent pixels.
  int64_t repeat_;
  int64_t block_bytes_;
  StageArgs stage_;
  int64_t element_bytes_;
  AlignedBytes weights_;
  std::vector<int32_t> bias_;
  std::vector<float> multiplier_;
};

}  // namespace nibble
