// Quantized convolution: u8 activations with a zero point, s8 weights, exact int32 sums.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "kernels/conv_shape.h"
#include "kernels/output_stage.h"
#include "nibble/isa.h"

namespace nibble {

/// acc[n,y,x,o] = bias[o] + sum over taps and inputs of (in - input_zero_point) * weight, then the
/// output stage. Padding has the value of the input zero point, so it adds nothing. Prepared once
/// (weights are packed for the instruction set), run often; run() is const and may be called from
/// several threads with distinct outputs and workspaces. The same bits for every Isa and thread
/// count.
class QConv {
 public:
  /// `weights` is [out_channels, in_channels / groups, kernel_h, kernel_w]; `bias` has out_channels
  /// entries or none. Throws Error{unsupported} if the sums of some channel might not fit int32,
  /// Error{invalid_argument} for extents that do not fit together. `saturating`: by the plain loops
  /// of product_saturating.h, where groups have more than one input and output channel. No code of
  /// the input may exceed `greatest_code`: the smaller, the more products are summed in 16 bits.
  QConv(const ConvShape& shape, std::span<const int8_t> weights, std::span<const int32_t> bias,
        int32_t input_zero_point, OutputStage stage, Isa isa = best_isa(), bool saturating = false,
        int32_t greatest_code = 255);
  QConv(QConv&&) noexcept;
  QConv& operator=(QConv&&) noexcept;
  ~QConv();

  /// `input` is [batch, in_h, in_w, in_channels] u8; `output` [batch, out_h, out_w, out_channels]
  /// of u8 codes or f32; `workspace` has workspace_bytes() bytes, 64-byte aligned. Allocates
  /// nothing.
  void run(const uint8_t* input, void* output, void* workspace, ThreadPool& pool) const;

  /// Data on a grid that is known only now: out = clamp(float(acc) * (grid.scale * multiplier[c])).
  /// Made with input zero point 1, no bias, and a stage of reals whose multipliers are the weights'
  /// scales.
  void run(const uint8_t* input, const RunTimeGrid& grid, void* output, void* workspace,
           ThreadPool& pool) const;

  /// Of either run().
  size_t workspace_bytes() const;
  /// Weights, biases and multipliers as held.
  size_t constant_bytes() const;
  const ConvShape& shape() const;
  /// "conv u8s8 3x3 avx512_vnni"; see PackedProduct::describe_weights().
  std::string describe() const;

  struct Impl;

 private:
  std::unique_ptr<const Impl> impl_;
};

}  // namespace nibble
