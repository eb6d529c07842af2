// The plain loops that define quantized convolution; every fast path equals them bit for bit.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "kernels/conv_shape.h"
#include "kernels/output_stage.h"

namespace nibble {

struct ReferenceConv {
  ConvShape shape;
  std::span<const int8_t> weights;  // [out_channels, in_channels / groups, kernel_h, kernel_w]
  std::span<const int32_t> bias;    // out_channels
  int32_t input_zero_point = 0;
};

/// The exact sum of one output element.
int32_t accumulate(const ReferenceConv& conv, const uint8_t* input, int64_t n, int64_t y, int64_t x,
                   int64_t channel);
void run_reference(const ReferenceConv& conv, const OutputStage& stage, const uint8_t* input,
                   void* output, ThreadPool& pool);

/// Throws Error{unsupported} if |bias| + 255 * sum |weight| of some output channel does not fit
/// int32; `weights` holds `depth` consecutive weights for each channel.
void prove_int32(std::span<const int8_t> weights, std::span<const int32_t> bias, int64_t depth);

}  // namespace nibble
