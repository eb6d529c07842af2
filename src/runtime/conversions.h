// Kernels that the runtime puts between operators: real numbers to codes and back.
#pragma once

#include "kernels/layout.h"
#include "ops/op.h"

namespace nibble {

/// From one form to another: f32 to codes, codes to f32, or codes to codes of another grid or
/// storage, as if dequantized and quantized again.
std::unique_ptr<Kernel> conversion_kernel(const Form& from, const Form& to);
/// f32 to u8 codes, from [batch, channels, spatial] to [batch, spatial, channels]; the result is
/// `shape`.
std::unique_ptr<Kernel> quantize_transpose_kernel(const QuantParams& codes,
                                                  const LayoutShape& layout, const Shape& shape);
/// f32 -> the nearest representable f32 (fake quantization), in place where possible. Any
/// granularity.
std::unique_ptr<Kernel> round_kernel(const QuantParams& params);

}  // namespace nibble
