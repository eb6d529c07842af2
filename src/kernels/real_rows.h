// Loops over contiguous real numbers: functions that libraries compute one element at a time,
// softmax, and normalization.
#pragma once

#include <array>
#include <cstdint>

#include "nibble/isa.h"

namespace nibble {

/// Those of vector_math.inl.
enum class RealFunction : uint8_t { erf, tanh, sigmoid, gelu, gelu_tanh };

/// The same bits for every instruction set: nothing is contracted, and sums are taken in double as
/// eight partial sums, element i in sum i % 8, as long as there are eight left; the rest goes to a
/// ninth, to which the eight are added in order. `n` is at least 1; an output may be an input.
struct RealRows {
  static constexpr int kFunctions = 5;
  using Map = void (*)(const float* in, float* out, int64_t n);

  std::array<Map, kFunctions> functions{};  // by RealFunction
  void (*add)(const float* a, const float* b, float* out, int64_t n) = nullptr;
  void (*scale)(const float* in, float factor, float* out, int64_t n) = nullptr;
  /// out = clamp(round_half_to_even(in * factor) + zero_point, qmin, qmax), 0 <= qmin, qmax <= 255;
  /// a NaN gives qmin.
  void (*scale_to_codes)(const float* in, float factor, int32_t zero_point, int32_t qmin,
                         int32_t qmax, uint8_t* out, int64_t n) = nullptr;
  /// out = e^(in - the largest of in); returns the sum of out.
  double (*exponentials)(const float* in, float* out, int64_t n) = nullptr;
  /// out = (in - mean) / sqrt(variance + epsilon) * gain + bias; without a bias where it is
  /// nullptr.
  void (*normalize)(const float* in, const float* gain, const float* bias, double epsilon,
                    float* out, int64_t n) = nullptr;

  Map function(RealFunction f) const { return functions[static_cast<size_t>(f)]; }
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const RealRows& real_rows();

}  // namespace nibble
