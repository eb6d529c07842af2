// The innermost loops over contiguous codes, one set per instruction set. The functions of
// elementwise.h, pool.h and layout.h are these plus walking and threading.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/pool.h"
#include "nibble/isa.h"

namespace nibble {

/// Everything works on `n` contiguous elements; outputs may be an input, but not overlap one
/// otherwise.
struct RowKernels {
  void (*add)(const AddParams&, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n);
  void (*mul)(const MulParams&, const uint8_t* a, const uint8_t* b, uint8_t* out, int64_t n);
  void (*requantize)(const RequantizeParams&, const uint8_t* in, uint8_t* out, int64_t n);
  void (*table)(const uint8_t* table, const uint8_t* in, uint8_t* out, int64_t n);
  void (*quantize)(const QuantizeParams&, const float* in, uint8_t* out, int64_t n);
  void (*dequantize)(float scale, int32_t zero_point, const uint8_t* in, float* out, int64_t n);
  /// out = the largest of taps[0] .. taps[count - 1]; count >= 1. `out` may be a tap.
  void (*max)(const uint8_t* const* taps, int64_t count, uint8_t* out, int64_t n);
  /// The sum of `in`.
  int32_t (*sum)(const uint8_t* in, int64_t n);
  /// sums += in.
  void (*accumulate)(const uint8_t* in, int32_t* sums, int64_t n);
  /// out = code of (sums - bias) * multiplier.
  void (*average)(const AveragePoolParams&, const int32_t* sums, int32_t bias, float multiplier,
                  uint8_t* out, int64_t n);
  /// out = in[0][0], in[1][0], in[2][0], in[0][1], ...: three planes of n codes to pixels.
  void (*interleave3)(const uint8_t* const* in, uint8_t* out, int64_t n);
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const RowKernels& row_kernels();

}  // namespace nibble
