// What x86 CPUs without VNNI compute in other runtimes: unsigned times signed bytes, of which two
// neighbouring products are added in 16 bits, which saturate (vpmaddubsw). In plain loops: this is
// a definition, to test files with on any machine, and not a way to be fast.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "kernels/reference.h"

namespace nibble {

/// Sum over i of clamp(codes[2i] * weights[2i] + codes[2i+1] * weights[2i+1], -32768, 32767); an
/// odd last product is added by itself. Both have the same length.
int32_t saturating_sum(std::span<const uint8_t> codes, std::span<const int8_t> weights);

/// A convolution whose weights follow one another as they meet:
/// [out_channels][kernel_h][kernel_w][in_channels / groups].
struct SaturatingConv {
  ConvShape shape;
  std::span<const int8_t> weights;
  std::span<const int32_t> bias;  // out_channels
  int32_t input_zero_point = 0;
};

/// acc = bias + saturating_sum(codes of the window, weights) - input_zero_point * sum(weights),
/// where padding has the code of zero; then the output stage.
void run_saturating(const SaturatingConv& conv, const OutputStage& stage, const uint8_t* input,
                    void* output, ThreadPool& pool);

}  // namespace nibble
