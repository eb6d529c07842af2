// An orthogonal matrix that spreads every number over all others and keeps what is the same for
// all: what channels are rotated by.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace nibble {

/// Q with Q^T Q = I and Q 1 = 1, so that length and mean of a vector stay. It is a Hadamard matrix
/// whose columns have random signs (Tseng et al. 2024, arXiv:2402.04396), behind it the reflection
/// that takes what this makes of 1 back to 1. Of widths that are not 2^k, 12 * 2^k or 20 * 2^k
/// (Paley's construction) it is the Kronecker product of a random orthogonal matrix of the odd part
/// and a Hadamard matrix of the rest. Never kept as a matrix: a vector costs width * (core + k).
class OrthogonalMix {
 public:
  OrthogonalMix(int64_t width, uint64_t seed);

  int64_t width() const { return width_; }
  /// v := Q v, for v of `width` numbers.
  void apply(std::span<double> v) const;

 private:
  void mix(std::span<double> v) const;

  int64_t width_;
  int64_t core_;                   // width = core * 2^k
  std::vector<double> matrix_;     // [core, core], orthogonal
  std::vector<double> signs_;      // [width]
  std::vector<double> reflected_;  // the reflection's direction, of length sqrt(2); empty: none
};

}  // namespace nibble
