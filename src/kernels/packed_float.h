// Real data times packed integer weights: products of weight-only layers. The weights stay as
// integers of 4 or 8 bits in memory and become real in registers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/thread_pool.h"
#include "kernels/packed_product.h"
#include "nibble/isa.h"

namespace nibble {

/// Each output sums over `segments` runs (the taps of a convolution; one for a matrix) of `length`
/// numbers, which are cut into blocks of `block` (the last may be shorter) that share a scale.
struct PackedShape {
  int64_t outputs = 1;
  int64_t segments = 1;
  int64_t length = 1;
  int64_t block = 1;

  int64_t blocks_per_segment() const { return (length + block - 1) / block; }
  int64_t blocks() const { return segments * blocks_per_segment(); }
};

/// One tile for a micro kernel: rows of data times neighbouring outputs.
struct PackedTile {
  const float* data = nullptr;  // first row
  int64_t data_step = 0;        // numbers from row to row
  const uint8_t* weights = nullptr;
  int64_t weight_step = 0;       // bytes from output to output
  const float* scale = nullptr;  // [outputs, blocks]
  const int32_t* zero = nullptr;
  int64_t blocks = 0;
  int64_t runs = 0;             // of 16 (8 bits) or 32 (4 bits) codes in each block
  const float* bias = nullptr;  // of the first output
  float low = 0, high = 0;
  float* out = nullptr;  // [rows, outputs]
  int64_t out_step = 0;  // from row to row
  int rows = 0, outputs = 0;
};

struct PackedKernels {
  int rows = 1, outputs = 1;  // of the largest tile
  void (*tile4)(const PackedTile&) = nullptr;
  void (*tile8)(const PackedTile&) = nullptr;
};
// One per file compiled with its own target flags.
const PackedKernels& packed_kernels_reference();
const PackedKernels& packed_kernels_portable();
#if defined(__x86_64__)
const PackedKernels& packed_kernels_avx2();
const PackedKernels& packed_kernels_avx512();
#endif

/// out[m,n] = clamp(bias[n] + sum over k of data[m,k] * w[n,k]), w = scale * (code - zero_point).
/// Every instruction set gives the same bits: w is rounded to f32 once; partial sum j of 16 takes
/// the products of k = j, j + 16, ... of each padded block in their order, product and sum rounded
/// apart; then sums 8, 4, 2 and 1 places apart are added, and the bias last.
class PackedFloat {
 public:
  /// `codes` is [outputs, segments, length]; `scale` and `zero_point` are [outputs, blocks()].
  /// `bits` is 4 (codes in [-8, 7] or, if all are at least 0, in [0, 15]) or 8 (in [-128, 127] or
  /// [0, 255]).
  PackedFloat(const PackedShape& shape, int bits, std::span<const int32_t> codes,
              std::span<const float> scale, std::span<const int32_t> zero_point,
              std::span<const float> bias, float low, float high, Isa isa = best_isa());

  /// Numbers in a row of padded data: each block of each segment, filled up with zeros.
  int64_t padded_depth() const { return shape_.blocks() * padded_block_; }
  /// Data need no padding: a row is as long as its padded form.
  bool is_dense() const { return padded_depth() == shape_.segments * shape_.length; }
  /// Copies one segment of one row to its padded place: `row` has padded_depth() numbers.
  void pad_segment(const float* from, int64_t segment, float* row) const;
  /// The same with zeros.
  void clear_segment(int64_t segment, float* row) const;

  /// `data` is [rows, padded_depth()] with `data_step` numbers from row to row; writes `outputs`
  /// neighbouring numbers of each row of `out`. Allocates nothing.
  void run(const float* data, int64_t data_step, int64_t rows, float* out, int64_t out_step,
           ThreadPool& pool) const;

  const PackedShape& shape() const { return shape_; }
  size_t constant_bytes() const;
  /// "packed 4-bit weights avx2".
  std::string describe() const;

 private:
  PackedShape shape_;
  int bits_;
  int64_t run_length_;    // codes unpacked together: 32 or 16
  int64_t padded_block_;  // a multiple of run_length_
  float low_, high_;
  Isa isa_;
  AlignedBytes weights_;
  std::vector<float> scale_;
  std::vector<int32_t> zero_;  // of the codes as they are stored
  std::vector<float> bias_;
};

}  // namespace nibble
