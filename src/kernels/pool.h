// Pooling of channels-last 8-bit codes.
#pragma once

#include "base/thread_pool.h"
#include "kernels/conv_shape.h"
#include "nibble/isa.h"

namespace nibble {

/// The largest code of each window, as far as it lies inside the input; `fill` where none of it
/// does. Input and output share scale and zero point.
void max_pool_u8(const ConvWindow& window, int64_t channels, uint8_t fill, const uint8_t* in,
                 uint8_t* out, ThreadPool& pool, Isa isa = best_isa());

/// out = clamp(round_half_to_even(float(sum of (in - in_zero)) * float(ratio / count)) + out_zero,
/// qmin, qmax), where count is the number of taps inside the input, or with count_include_pad those
/// inside input and padding (pad_bottom and pad_right are then used). An empty window gives
/// out_zero.
struct AveragePoolParams {
  double ratio = 1;  // input scale / output scale
  int32_t in_zero = 0;
  int32_t out_zero = 0;
  int32_t qmin = 0;
  int32_t qmax = 255;
  bool count_include_pad = false;
  int64_t pad_bottom = 0;
  int64_t pad_right = 0;
};
void average_pool_u8(const AveragePoolParams& params, const ConvWindow& window, int64_t channels,
                     const uint8_t* in, uint8_t* out, ThreadPool& pool, Isa isa = best_isa());

/// The same over all of [batch, spatial, channels] -> [batch, channels].
void global_average_pool_u8(const AveragePoolParams& params, int64_t batch, int64_t spatial,
                            int64_t channels, const uint8_t* in, uint8_t* out, ThreadPool& pool,
                            Isa isa = best_isa());

}  // namespace nibble
