// Elementwise work on 8-bit codes, and the ways between codes and reals. Every function gives the
// same bits for every Isa and thread count and allocates nothing.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "nibble/isa.h"

namespace nibble {

/// Three nested loops, innermost last, over the output and two operands. The output is dense; a
/// step is in elements, and the innermost steps are 1 or 0 (a broadcast operand).
struct BinaryShape {
  std::array<int64_t, 3> extent{1, 1, 1};
  std::array<int64_t, 3> a_step{0, 0, 1};
  std::array<int64_t, 3> b_step{0, 0, 1};

  /// Two dense operands of the same shape.
  static BinaryShape same(int64_t count) { return {.extent = {1, 1, count}}; }
};

/// out = clamp(round_half_to_even(float(a - a_zero) * a_ratio + float(b - b_zero) * b_ratio) +
/// out_zero, qmin, qmax), in f32 in this order. Ratios are input scale / output scale; a negative
/// b_ratio subtracts.
struct AddParams {
  int32_t a_zero = 0;
  int32_t b_zero = 0;
  int32_t out_zero = 0;
  float a_ratio = 1;
  float b_ratio = 1;
  int32_t qmin = 0;
  int32_t qmax = 255;
};
void add_u8(const AddParams& params, const BinaryShape& shape, const uint8_t* a, const uint8_t* b,
            uint8_t* out, ThreadPool& pool, Isa isa = best_isa());

/// out = clamp(round_half_to_even(float((a - a_zero) * (b - b_zero)) * multiplier) + out_zero,
/// qmin, qmax); multiplier is a_scale * b_scale / out_scale.
struct MulParams {
  int32_t a_zero = 0;
  int32_t b_zero = 0;
  int32_t out_zero = 0;
  float multiplier = 1;
  int32_t qmin = 0;
  int32_t qmax = 255;
};
void mul_u8(const MulParams& params, const BinaryShape& shape, const uint8_t* a, const uint8_t* b,
            uint8_t* out, ThreadPool& pool, Isa isa = best_isa());

/// `rows` runs of `inner` elements; in and out advance by their own step from run to run.
struct RowShape {
  int64_t rows = 1;
  int64_t inner = 0;
  int64_t in_step = 0;
  int64_t out_step = 0;

  static RowShape dense(int64_t count) { return {.rows = 1, .inner = count}; }
};

/// out = clamp(round_half_to_even(float(in - in_zero) * ratio) + out_zero, qmin, qmax): codes moved
/// to another scale. Concat along the last axis is one call for each input.
struct RequantizeParams {
  int32_t in_zero = 0;
  int32_t out_zero = 0;
  float ratio = 1;  // input scale / output scale
  int32_t qmin = 0;
  int32_t qmax = 255;

  bool is_copy() const { return ratio == 1 && in_zero == out_zero && qmin == 0 && qmax == 255; }
};
void requantize_u8(const RequantizeParams& params, const RowShape& shape, const uint8_t* in,
                   uint8_t* out, ThreadPool& pool, Isa isa = best_isa());

/// out = table[in]; out may be in.
void table_u8(std::span<const uint8_t, 256> table, const uint8_t* in, uint8_t* out, int64_t count,
              ThreadPool& pool, Isa isa = best_isa());

/// Codes of real numbers: clamp(round_half_to_even(in / scale) + zero_point, qmin, qmax). A NaN
/// becomes qmin.
struct QuantizeParams {
  float scale = 1;
  int32_t zero_point = 0;
  int32_t qmin = 0;
  int32_t qmax = 255;
};
void quantize_u8(const QuantizeParams& params, const float* in, uint8_t* out, int64_t count,
                 ThreadPool& pool, Isa isa = best_isa());
/// out = scale * (in - zero_point).
void dequantize_u8(float scale, int32_t zero_point, const uint8_t* in, float* out, int64_t count,
                   ThreadPool& pool, Isa isa = best_isa());

}  // namespace nibble
