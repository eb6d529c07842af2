// Weights packed for the micro kernels, and the walk of tiles and panels over an output: what
// convolution and matrix product have in common.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/aligned_bytes.h"
#include "kernels/micro.h"
#include "kernels/output_stage.h"
#include "kernels/weight_panels.h"
#include "nibble/isa.h"

namespace nibble {

/// The stage without its multipliers.
StageArgs stage_args(const OutputStage& stage);

/// Lines of output pixels, and where the input of each pixel begins.
struct PixelLines {
  const uint8_t* input = nullptr;
  int64_t images = 1;
  int64_t image_step = 0;  // bytes of input from image to image
  int64_t lines = 1;       // per image
  int64_t line_step = 0;
  int64_t pixels = 1;  // per line
  int64_t pixel_step = 0;
};

/// What each output pixel sums over: `segments.size()` runs of `segment_bytes` bytes at these
/// offsets from its first byte, in each of `groups` groups of channels.
struct ProductShape {
  std::vector<int64_t> segments;
  int64_t segment_bytes = 0;
  int64_t groups = 1;
  int64_t group_inputs = 0;     // bytes from the input of one group to that of the next
  int64_t group_outputs = 0;    // output channels of each group
  int32_t greatest_code = 255;  // no byte of the input is larger, slack aside

  QuadShape quads() const { return {static_cast<int64_t>(segments.size()), segment_bytes}; }
  int64_t depth() const { return quads().depth(); }
  int64_t outputs() const { return groups * group_outputs; }
};

/// What the input meets, in the order of the micro kernels: blocks of `lanes` channels, padded to
/// whole blocks in each group.
struct ProductOperand {
  const std::byte* weights = nullptr;  // 64-byte aligned; in the form any() unless packed here
  const int32_t* bias = nullptr;
  const float* multiplier = nullptr;
  const int32_t* pixel_bias = nullptr;  // one more addend for each pixel, or nullptr
};

class PackedProduct {
 public:
  /// The weights of an output channel are [segments][segment_bytes]; each panel of channels lies in
  /// the form that is best for its weights. The input zero point goes into the bias. Throws
  /// Error{unsupported} if the sums of some channel might not fit int32.
  PackedProduct(ProductShape shape, const WeightView& weights, std::span<const int32_t> bias,
                int32_t input_zero_point, const OutputStage& stage, Isa isa);
  /// Without weights: each run is given an operand of weight_bytes() and slots().
  PackedProduct(ProductShape shape, const OutputStage& stage, Isa isa);

  /// Writes [images * lines * pixels, outputs]. The input must be readable for up to three bytes
  /// after the last segment unless segment_bytes is a multiple of 4.
  void run(const PixelLines& lines, void* output, ThreadPool& pool) const {
    run(lines, operand(), output, pool);
  }
  void run(const PixelLines& lines, const ProductOperand& operand, void* output,
           ThreadPool& pool) const;

  std::span<const int32_t> bias() const { return bias_; }
  std::span<const float> multiplier() const { return multiplier_; }
  /// The operand that it holds.
  ProductOperand operand() const { return {weights_.data(), bias_.data(), multiplier_.data()}; }
  const MicroKernels& micro() const { return micro_; }
  int64_t blocks() const;
  /// Of weights in the form any().
  int64_t block_bytes() const { return nibble::block_bytes(micro_.any(), micro_.lanes, quads_); }
  size_t weight_bytes() const { return static_cast<size_t>(blocks() * block_bytes()); }
  /// Channels with those that pad the blocks.
  int64_t slots() const { return blocks() * micro_.lanes; }
  /// Where output channel `output` stands among them.
  int64_t slot(int64_t output) const;

  size_t constant_bytes() const;
  /// "s8", or "s4" where all weights lie as nibbles; with a note on how many are multiplied in the
  /// form any() though the instruction set has better ones.
  std::string describe_weights() const;

 private:
  // Output channels computed together: one to MicroKernels::kMaxBlocks blocks of one group.
  struct Panel {
    int64_t group = 0;
    int64_t first_block = 0;
    int64_t first_output = 0;
    int64_t channels = 0;
    int blocks = 1;
    const MicroForm* form = nullptr;
    int64_t run = 0;     // of that form, see TileArgs
    int64_t offset = 0;  // of its weights
    int64_t block_bytes = 0;
  };
  struct Split;
  void pack(const WeightView& weights, std::span<const int32_t> bias, int32_t input_zero_point,
            const OutputStage& stage);
  AlignedBytes pack_panel(std::span<const int8_t> rows, Panel& panel) const;
  std::vector<Panel> make_panels(int most_blocks) const;
  void run_tiles(const PixelLines& lines, const ProductOperand& operand, const Split& split,
                 std::span<const Panel> panels, int64_t first_tile, int64_t last_tile,
                 std::byte* output) const;

  ProductShape shape_;
  const MicroKernels& micro_;
  StageArgs stage_;
  int64_t element_bytes_ = 1;
  QuadShape quads_;
  AlignedBytes weights_;
  std::vector<int32_t> bias_;  // padded to whole blocks in each group, as multiplier_
  std::vector<float> multiplier_;
  std::vector<Panel> panels_;
  std::vector<Panel> wide_panels_;  // for few pixels, where weights are met once
};

}  // namespace nibble
