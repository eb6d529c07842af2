// Observers: from what is known of a tensor's values to its scale and zero point.
#pragma once

#include <span>

#include "base/thread_pool.h"
#include "nibble/ranges.h"

namespace nibble {

/// The codes of a bit-width: where they are stored, and the first and last one used.
struct CodeRange {
  DType storage = DType::i8;
  int32_t qmin = -127;
  int32_t qmax = 127;
};
/// Which codes stand for zero: any one, or code 0 in the middle of as many negative as positive
/// ones.
enum class Symmetry : uint8_t { asymmetric, symmetric };

/// 0 to 2^bits - 1, in u8 up to 8 bits, else u16; symmetric: 2^(bits-1) - 1 codes on each side of
/// 0, in i8 or i16. `bits` from 2 to 16.
CodeRange activation_codes(int bits, Symmetry symmetry = Symmetry::asymmetric);
/// Symmetric: [-127,127] at 8 bits (and likewise above 4), but all codes at 4 bits and fewer, where
/// the extra one at the negative end matters: [-8,7], [-4,3] (both in i4), [-2,1] (i2).
CodeRange weight_codes(int bits);

/// Mean squared error of rounding values with this distribution. Exact for values spread evenly
/// within each bin; exact zeros and the part of a bin outside [minimum, maximum] are accounted for.
double rounding_error(const Moments& moments, const Histogram& histogram, float scale,
                      int32_t zero_point, const CodeRange& codes);

/// Per-tensor parameters for `bits` bits. Zero has a code of its own (symmetric: code 0); a tensor
/// that is all zero gets scale 1.
QuantParams activation_params(const Moments& moments, const Histogram& histogram, int bits,
                              ObserverKind observer, Symmetry symmetry = Symmetry::asymmetric);

/// The scale of one group of weights (zero point 0). 1 if all are zero.
float weight_scale(std::span<const float> weights, const CodeRange& codes, ObserverKind observer);
/// Sum of squared errors of rounding `weights` with this scale.
double squared_error(std::span<const float> weights, float scale, const CodeRange& codes);

/// Symmetric parameters of a whole weight: per output channel along `axis`, or per tensor if `axis`
/// is negative, or in blocks of `block_size` (> 0) along `axis`.
struct WeightGrouping {
  int axis = 0;
  int64_t block_size = 0;
};
QuantParams weight_params(const Tensor& weight, WeightGrouping grouping, int bits,
                          ObserverKind observer, ThreadPool& pool);
/// Sum of squared differences between the weight and its rounding by `params` (zero point 0).
double squared_error(const Tensor& weight, const QuantParams& params);

/// 10 log10(signal / noise), at most 150 (nothing lost).
double sqnr_db(double signal, double noise);

}  // namespace nibble
