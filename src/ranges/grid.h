// Grids of codes, and the error of rounding to them.
#pragma once

#include <algorithm>
#include <limits>
#include <span>

#include "nibble/ranges.h"

namespace nibble {

/// The codes of a bit-width: where they are stored, and the first and last one used.
struct BitCodes {
  DType storage = DType::i8;
  int32_t qmin = -127;
  int32_t qmax = 127;
};
/// Which codes stand for zero: any one, or code 0 in the middle of as many negative as positive
/// ones.
enum class Symmetry : uint8_t { asymmetric, symmetric };

/// 0 to 2^bits - 1, in u8 up to 8 bits, else u16; symmetric: 2^(bits-1) - 1 codes on each side of
/// 0, in i8 or i16. `bits` from 2 to 16.
BitCodes activation_codes(int bits, Symmetry symmetry = Symmetry::asymmetric);
/// Symmetric: [-127,127] at 8 bits (and likewise above 4), but all codes at 4 bits and fewer, where
/// the extra one at the negative end matters: [-8,7], [-4,3] (both in i4), [-2,1] (i2).
BitCodes weight_codes(int bits);

/// Where the codes lie among the reals: real = scale * (code - zero_point).
struct Grid {
  float scale = 1;
  int32_t zero_point = 0;
};

/// Scales are normal floats, and so are their inverses. What a smaller one would stand for counts
/// as zero.
constexpr double kSmallestScale = 0x1p-126;

/// The grid on which the codes reach from `low` to `high` (low <= 0 <= high). Zero has a code of
/// its own: symmetric, code 0, and the codes then reach as far as the farther end. A range of no
/// width has scale 1.
Grid grid_over(double low, double high, const BitCodes& codes, Symmetry symmetry);

/// clamp(round_half_to_even(x), low, high) for integers low and high within 2^22: adding 1.5 * 2^23
/// leaves no bits below the point.
inline float round_code(float x, float low, float high) {
  return (std::clamp(x, low, high) + 0x1.8p23F) - 0x1.8p23F;
}

/// Mean squared error of rounding values with this distribution. Exact for values spread evenly
/// within each bin; exact zeros and the part of a bin outside [minimum, maximum] are accounted for.
/// Where it is not below `enough`, the result is any number that is not either: searches save time.
double rounding_error(const Moments& moments, const Histogram& histogram, const Grid& grid,
                      const BitCodes& codes,
                      double enough = std::numeric_limits<double>::infinity());
/// Sum of squared errors of rounding `weights` to the nearest codes at this scale.
double squared_error(std::span<const float> weights, float scale, const BitCodes& codes);
/// Sum of squared differences between a weight and what its codes stand for.
double squared_error(const Tensor& weight, const Tensor& codes, const QuantParams& params);

/// 10 log10(signal / noise), at most 150 (nothing lost).
double sqnr_db(double signal, double noise);

}  // namespace nibble
