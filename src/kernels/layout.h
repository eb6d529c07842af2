// Between channels first ([N,C,spatial]) and channels last ([N,spatial,C]), alone or together with
// the step between reals and codes.
#pragma once

#include "kernels/elementwise.h"

namespace nibble {

/// `spatial` is the product of the spatial extents.
struct LayoutShape {
  int64_t batch = 1;
  int64_t channels = 1;
  int64_t spatial = 1;

  int64_t elements() const { return batch * channels * spatial; }
};

void to_channels_last(const LayoutShape& shape, const uint8_t* in, uint8_t* out, ThreadPool& pool);
void to_channels_last(const LayoutShape& shape, const float* in, float* out, ThreadPool& pool);
void to_channels_first(const LayoutShape& shape, const uint8_t* in, uint8_t* out, ThreadPool& pool);
void to_channels_first(const LayoutShape& shape, const float* in, float* out, ThreadPool& pool);

/// quantize_u8 of a channels-first tensor into a channels-last one.
void quantize_to_channels_last(const QuantizeParams& params, const LayoutShape& shape,
                               const float* in, uint8_t* out, ThreadPool& pool,
                               Isa isa = best_isa());
/// dequantize_u8 of a channels-last tensor into a channels-first one.
void dequantize_to_channels_first(float scale, int32_t zero_point, const LayoutShape& shape,
                                  const uint8_t* in, float* out, ThreadPool& pool,
                                  Isa isa = best_isa());

}  // namespace nibble
