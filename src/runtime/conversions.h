// Kernels that the runtime puts between operators: real numbers to codes and back.
#pragma once

#include "kernels/layout.h"
#include "ops/op.h"

namespace nibble {

/// f32 -> u8 codes.
std::unique_ptr<Kernel> quantize_kernel(const QuantParams& codes);
/// The same, from [batch, channels, spatial] to [batch, spatial, channels]; the result is `shape`.
std::unique_ptr<Kernel> quantize_transpose_kernel(const QuantParams& codes,
                                                  const LayoutShape& layout, const Shape& shape);
/// u8 codes -> f32.
std::unique_ptr<Kernel> dequantize_kernel(const QuantParams& codes);
/// u8 codes -> u8 codes with other parameters, as if dequantized and quantized again.
std::unique_ptr<Kernel> requantize_kernel(const QuantParams& from, const QuantParams& to);
/// f32 -> the nearest representable f32 (fake quantization), in place where possible. Any
/// granularity.
std::unique_ptr<Kernel> round_kernel(const QuantParams& params);

}  // namespace nibble
