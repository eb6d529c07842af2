// What happens to an exact int32 accumulator on its way out: to an 8-bit code, or to a real number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace nibble {

/// Codes: clamp(round_half_to_even(float(acc) * multiplier[c]) + zero_point, qmin, qmax), in f32
/// with the product rounded once. Relu and Clip are a narrower [qmin, qmax].
/// Reals: clamp(float(acc) * multiplier[c], min, max).
struct OutputStage {
  enum class Kind : uint8_t { codes_u8, reals_f32 };
  Kind kind = Kind::codes_u8;
  /// One per output channel, finite. For codes in_scale * weight_scale[c] / out_scale, for reals
  /// in_scale * weight_scale[c].
  std::vector<float> multiplier;
  int32_t zero_point = 0;  // 0 .. 255
  int32_t qmin = 0;
  int32_t qmax = 255;
  float min = -std::numeric_limits<float>::infinity();
  float max = std::numeric_limits<float>::infinity();

  /// Bytes of one output element.
  int64_t element_bytes() const { return kind == Kind::codes_u8 ? 1 : 4; }
};

/// A grid of data that is known only when running.
struct RunTimeGrid {
  float scale = 1;
  int32_t zero_point = 0;  // 0 .. 255
};

/// Throws Error{invalid_argument} unless there are `channels` finite multipliers and the ranges are
/// not empty and fit 8 bits.
void validate(const OutputStage& stage, int64_t channels);

/// round_half_to_even(value), clamped to [low, high] (within +-2^22); a NaN gives low.
inline int32_t round_clamped(float value, float low, float high) {
  // The clamp comes first, where any float is welcome; its ends are integers, so the order does not
  // matter. Adding 1.5 * 2^23 then leaves no bits below one, and the FPU rounds half to even.
  constexpr float kShift = 12582912.0F;
  const float above = value > low ? value : low;
  const float inside = above < high ? above : high;
  return static_cast<int32_t>((inside + kShift) - kShift);
}

/// The plain form of both stages, for the reference kernels.
inline uint8_t to_code(const OutputStage& stage, int32_t acc, int64_t channel) {
  const auto low = static_cast<float>(stage.qmin - stage.zero_point);
  const auto high = static_cast<float>(stage.qmax - stage.zero_point);
  const float scaled = static_cast<float>(acc) * stage.multiplier[static_cast<size_t>(channel)];
  return static_cast<uint8_t>(round_clamped(scaled, low, high) + stage.zero_point);
}
inline float to_real(const OutputStage& stage, int32_t acc, int64_t channel) {
  const float scaled = static_cast<float>(acc) * stage.multiplier[static_cast<size_t>(channel)];
  const float above = stage.min > scaled ? stage.min : scaled;
  return stage.max < above ? stage.max : above;
}

}  // namespace nibble
