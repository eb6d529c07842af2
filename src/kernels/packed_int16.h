// Real data times packed integer weights, in integers: each row of data becomes 16-bit integers on
// a grid of its own, so that all products and sums are exact and what is lost is the rounding of
// the row, 2^-16 of its largest number. For layers whose weights are quantized and whose data are
// not: the states of a recurrent layer, which no file gives a grid.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/packed_float.h"

namespace nibble {

/// A row of data as its blocks' integers, each block padded with a zero to whole pairs.
struct Int16Row {
  float scale = 0;  // real = scale * integer; NaN if a number of the row is NaN or infinite
  int16_t* integers = nullptr;
  int32_t* sums = nullptr;  // of the integers of each block
};

/// A tile for a micro kernel: rows of data times panels of kPanel neighbouring outputs. A panel is
/// block after block, of ceil(length / 2) pairs each. Of 8 bits: [pairs][kPanel][2] s8. Of 4 bits:
/// [pairs][kPanel] bytes, the first of the pair in the low half.
struct Int16Tile {
  const PackedShape* shape = nullptr;
  const Int16Row* data = nullptr;    // of `rows` rows
  const uint8_t* weights = nullptr;  // of the first panel
  int64_t weight_step = 0;           // bytes from panel to panel
  const float* scale = nullptr;      // [panels, blocks, kPanel]
  const int32_t* zero = nullptr;
  const float* bias = nullptr;  // [panels, kPanel]
  float* out = nullptr;         // [rows, outputs]
  int64_t out_step = 0;         // from row to row
  int64_t rows = 0;
  int64_t outputs = 0;  // of these panels that exist; the last may be partial
};

struct Int16Kernels {
  void (*tile4)(const Int16Tile&) = nullptr;
  void (*tile8)(const Int16Tile&) = nullptr;
  /// Rounds a row of shape.depth() numbers to integers of at most `limit`, half to even; sets its
  /// scale to the largest of them / limit.
  void (*round)(const PackedShape& shape, const float* data, float limit, Int16Row& row) = nullptr;
};
/// Those of an instruction set, defined in its own file.
template <Isa isa>
const Int16Kernels& int16_kernels();

/// out[m,n] = bias[n] + row scale[m] * sum over blocks b of scale[n,b] * float(sum over k in b of
/// (code[n,k] - zero_point[n,b]) * integer[m,k]). The inner sums are exact: the integers are held
/// within a limit, 32767 or less, at which no sum of these weights can leave 32 bits. The outer one
/// begins with 0 and takes the blocks in order, each operation rounded to f32: every instruction
/// set and number of threads gives the same bits.
class PackedInt16 {
 public:
  /// As those of PackedFloat.
  PackedInt16(const PackedShape& shape, int bits, std::span<const int32_t> codes,
              std::span<const float> scale, std::span<const int32_t> zero_point,
              std::span<const float> bias, Isa isa = best_isa());

  /// Bytes that run() needs for so many rows at a time.
  size_t scratch_bytes(int64_t rows) const;
  /// `data` is [rows, depth] with `data_step` numbers from row to row; writes `outputs`
  /// neighbouring numbers of each row of `out`. `scratch` is 64-byte aligned. Allocates nothing.
  void run(const float* data, int64_t data_step, int64_t rows, float* out, int64_t out_step,
           void* scratch, ThreadPool& pool) const;

  const PackedShape& shape() const { return shape_; }
  /// The largest integer that data become.
  int32_t limit() const { return limit_; }
  size_t constant_bytes() const;
  /// "packed 8-bit weights avx2".
  std::string describe() const;

 private:
  int64_t panels() const { return (shape_.outputs + PackedTile::kPanel - 1) / PackedTile::kPanel; }
  int64_t panel_bytes() const;
  void pack(std::span<const int32_t> codes, std::span<const float> scale,
            std::span<const int32_t> zero_point, int32_t shift);

  PackedShape shape_;
  int bits_;
  Isa isa_;
  int64_t pairs_ = 0;  // of a row
  int32_t limit_ = 0;
  AlignedBytes weights_;
  std::vector<float> scale_;   // as in Int16Tile
  std::vector<int32_t> zero_;  // of the codes as they are stored
  std::vector<float> bias_;
};

}  // namespace nibble
