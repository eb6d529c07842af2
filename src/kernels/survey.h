// One pass over a run of reals: what dynamic range analysis has to know of it.
#pragma once

#include <cstdint>
#include <span>

#include "nibble/isa.h"

#pragma GCC visibility push(default)
namespace nibble {

/// With NaN or infinity among the values, only `finite` means anything.
struct Survey {
  float minimum = 0;
  float maximum = 0;
  bool finite = true;
  int64_t zeros = 0;
  /// Of value - first value: shifted so, sums lose little to cancellation. Eight partial sums
  /// are taken, element i in sum i % 8, those of the last, incomplete eight in the first; they add
  /// up as ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). So every instruction set gives the same bits.
  double sum = 0;
  double squares = 0;
};

struct SurveyKernels {
  /// n >= 1.
  void (*survey)(const float* in, int64_t n, Survey* out) = nullptr;
  /// See find_bins(); `inverse` is 1 / width, and |in * inverse| < 2^31.
  int64_t (*bins)(float inverse, const float* in, int32_t* out, int64_t n) = nullptr;
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const SurveyKernels& survey_kernels();

/// `values` is not empty.
Survey survey(std::span<const float> values, Isa isa = best_isa());

/// floor(value / width), exactly, of each value that is not zero, in order; returns how many there
/// are. The width is a power of two, from 2^-110 to 2^117; what comes out fits int32. `out` has
/// room for as many as there are values.
int64_t find_bins(std::span<const float> values, double width, int32_t* out, Isa isa = best_isa());

}  // namespace nibble
#pragma GCC visibility pop
