// Fake quantization of a run of reals on one grid, and its gradients: what training does to every
// activation in every step, in one pass over memory each way.
#pragma once

#include <cstdint>

#include "nibble/isa.h"

#pragma GCC visibility push(default)
namespace nibble {

/// real = scale * code for whole codes in [low, high], which lie within 2^22. A share of the
/// numbers, which differs from seed to seed, may be left as it is.
struct FakeGrid {
  float scale = 1;
  float low = 0, high = 0;
  uint32_t seed = 0;
  uint32_t unrounded = 0;  // of 2^32 numbers, so many are left; 0: none
};

/// Whether number `index` of a tensor is one of those that are left.
constexpr bool stays_real(uint32_t seed, uint32_t index, uint32_t unrounded) {
  // The finalizer of MurmurHash3 (Appleby, public domain).
  uint32_t hash = (index + seed) * 0x9e3779b9U;
  hash = (hash ^ (hash >> 16)) * 0x85ebca6bU;
  hash = (hash ^ (hash >> 13)) * 0xc2b2ae35U;
  return (hash ^ (hash >> 16)) < unrounded;
}

/// `first` is the index of in[0] in its tensor; n numbers. NaN counts as `low`. With v = in /
/// scale:
struct FakeQuantizeKernels {
  /// out = scale * clamp(round_half_to_even(v), low, high), or `in` where it stays real.
  void (*forward)(const FakeGrid& grid, const float* in, uint32_t first, float* out,
                  int64_t n) = nullptr;
  /// gradient = upstream where low < v < high or the number stays real, else 0. Returns the sum of
  /// upstream * slope of those that do not: slope = round(v) - v inside, else v clamped. Element i
  /// adds to float sum i % 16 of its 1,024, these then to the result in order: so every instruction
  /// set gives the same bits.
  double (*backward)(const FakeGrid& grid, const float* in, uint32_t first, const float* upstream,
                     float* gradient, int64_t n) = nullptr;
  /// out = real where it stays real, else rounded: `grid`'s seed and share alone matter.
  void (*mix)(const FakeGrid& grid, const float* real, const float* rounded, uint32_t first,
              float* out, int64_t n) = nullptr;
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const FakeQuantizeKernels& fake_quantize_kernels();

const FakeQuantizeKernels& fake_quantize_kernels(Isa isa = best_isa());

}  // namespace nibble
#pragma GCC visibility pop
