// Real data times packed integer weights: products of weight-only layers. The weights stay as
// integers of 4 or 8 bits in memory and become real in registers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

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

  int64_t depth() const { return segments * length; }
  int64_t blocks_per_segment() const { return (length + block - 1) / block; }
  int64_t blocks() const { return segments * blocks_per_segment(); }
  /// Numbers in block b of an output.
  int64_t length_of(int64_t b) const {
    const int64_t first = b % blocks_per_segment() * block;
    return length - first < block ? length - first : block;
  }
};

/// A tile for a micro kernel: rows of data times panels of kPanel neighbouring outputs. A panel is
/// block after block. Of 8 bits: [length][kPanel] s8. Of 4 bits: [ceil(length / 2)][kPanel] bytes,
/// the code of number 2i in the low half, that of 2i + 1 in the high.
struct PackedTile {
  static constexpr int kPanel = 16;

  const PackedShape* shape = nullptr;
  const float* data = nullptr;       // first row
  int64_t data_step = 0;             // numbers from row to row
  const uint8_t* weights = nullptr;  // of the first panel
  int64_t weight_step = 0;           // bytes from panel to panel
  const float* scale = nullptr;      // [panels, blocks, kPanel]
  const int32_t* zero = nullptr;
  const float* bias = nullptr;  // [panels, kPanel]
  float low = 0, high = 0;
  float* out = nullptr;  // [rows, outputs]
  int64_t out_step = 0;  // from row to row
  int64_t rows = 0;
  int64_t outputs = 0;  // of these panels that exist; the last may be partial
};

struct PackedKernels {
  int panels = 1;  // at most, in a tile
  void (*tile4)(const PackedTile&) = nullptr;
  void (*tile8)(const PackedTile&) = nullptr;
};
/// Those of an instruction set, defined in its own file.
template <Isa isa>
const PackedKernels& packed_kernels();

/// out[m,n] = clamp(bias[n] + sum over k of w[n,k] * data[m,k]), w = (code - zero_point) * scale
/// rounded to f32. The sum begins with 0 and takes the products in the order of k, product and sum
/// rounded apart, the bias last: every instruction set and number of threads gives the same bits.
class PackedFloat {
 public:
  /// `codes` is [outputs, segments, length]; `scale` and `zero_point` are [outputs, blocks()].
  /// `bits` is 4 (codes in [-8, 7] or, if all are at least 0, in [0, 15]) or 8 (in [-128, 127] or
  /// [0, 255]).
  PackedFloat(const PackedShape& shape, int bits, std::span<const int32_t> codes,
              std::span<const float> scale, std::span<const int32_t> zero_point,
              std::span<const float> bias, float low, float high, Isa isa = best_isa());

  /// `data` is [rows, depth] with `data_step` numbers from row to row; writes `outputs`
  /// neighbouring numbers of each row of `out`. Allocates nothing.
  void run(const float* data, int64_t data_step, int64_t rows, float* out, int64_t out_step,
           ThreadPool& pool) const;

  const PackedShape& shape() const { return shape_; }
  size_t constant_bytes() const;
  /// "packed 4-bit weights avx2".
  std::string describe() const;

 private:
  int64_t panels() const { return (shape_.outputs + PackedTile::kPanel - 1) / PackedTile::kPanel; }
  int64_t panel_bytes() const;
  void pack(std::span<const int32_t> codes, std::span<const float> scale,
            std::span<const int32_t> zero_point, int32_t shift);

  PackedShape shape_;
  int bits_;
  float low_, high_;
  Isa isa_;
  AlignedBytes weights_;
  std::vector<float> scale_;   // as in PackedTile
  std::vector<int32_t> zero_;  // of the codes as they are stored
  std::vector<float> bias_;
};

}  // namespace nibble
