// Dynamic quantization: layers are rewritten to measure the range of their data while running.
#pragma once

#include "quant/layers.h"

namespace nibble {

/// Rewrites each layer it can. For data x, weight w and bias b of a Conv (ConvInteger) or of a Gemm
/// or MatMul (MatMulInteger):
///
/// Before: %y = Conv(%x, %w, %b)
/// After:  %q, %s, %z = DynamicQuantizeLinear(%x)
///         %i = ConvInteger(%q, %w_codes, %z)
///         %f = Cast(%i) {to=FLOAT}
///         %t = Mul(%s, %w_scale)
///         %m = Mul(%f, %t)
///         %y = Add(%m, %b)
///
/// w_codes are symmetric per output channel, and such that no sum leaves int32. Layers of other
/// operators (ConvTranspose) become weight-only.
void quantize_dynamically(Graph& graph, const std::vector<Layer>& layers,
                          const QuantizeOptions& options);

}  // namespace nibble
