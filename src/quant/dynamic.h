// Dynamic quantization: layers are rewritten to measure the range of their data while running.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "nibble/target.h"
#include "quant/layers.h"
#include "quant/scale_guards.h"
#include "ranges/rounding.h"

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

/// Which weights of a product with dynamically quantized data meet in 16 bits. Any data may come:
/// codes up to 255.
PairGuard dynamic_pair_guard(bool conv, const Shape& weight, const Target& target,
                             std::span<const PairOrder> orders);
/// `weight` as int8. The scale of a channel whose sum with any data might leave int32 gets coarser,
/// as it must where more than 66,000 products are summed and many weights are large; so does that
/// of a channel with a pair that might leave 16 bits.
Tensor dynamic_codes(const RoundingRow& rounding, const Tensor& weight, const PairGuard& pairs,
                     QuantParams& params, ThreadPool& pool);

}  // namespace nibble
