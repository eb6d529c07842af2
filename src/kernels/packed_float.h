// Real data times packed integer weights: products of weight-only layers. The weights stay as
// integers of 4 or 8 bits in memory, and the data meet them as integers too: each piece of a row,
// of at most kPiece numbers, becomes integers of 24 bits times a power of two of its own. So
// products and sums within a piece are exact, and what is lost is about what f32 loses.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/aligned_bytes.h"
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

/// Neighbouring numbers of a block that are summed exactly.
struct PackedPiece {
  int32_t length = 0;
  bool ends_block = false;
};

/// A row of data as integers in [-kMostInteger, kMostInteger], piece after piece.
struct PackedRow {
  /// In the form that the kernel wants them, kBytes of each number, each piece padded with zeros to
  /// whole steps.
  std::byte* integers = nullptr;
  /// Of each piece: real = unit * integer, a power of two; NaN if a number is NaN or infinite.
  float* units = nullptr;
  /// Of each piece, with integer = 256 * high + low and low in [-128, 127]: -z times the sum of
  /// high, and -z times that of low, where z is the zero point of all weights, or 1.
  int32_t* offsets = nullptr;
};

/// A tile for a micro kernel: rows of data times panels of kPanel neighbouring outputs. A panel is
/// block after block: the codes of its pieces, then kPanel scales. A piece is step after step of
/// 64 bytes, [kPanel][4], unsigned codes. Of 8 bits: numbers 4i to 4i + 3 of each output. Of 4
/// bits: numbers 8i to 8i + 3 in the low halves, 8i + 4 to 8i + 7 in the high.
struct PackedTile {
  static constexpr int kPanel = 16;
  static constexpr int kStepBytes = 4 * kPanel;
  static constexpr int64_t kPiece = 128;
  /// With three digits to the base 256, each in [-128, 127].
  static constexpr int32_t kMostInteger = 127 * (65536 + 256 + 1);
  /// Numbers that a step holds.
  static constexpr int64_t step(int bits) { return bits == 4 ? 8 : 4; }

  std::span<const PackedPiece> pieces;
  int64_t blocks = 0;
  const PackedRow* data = nullptr;   // of `rows` rows
  const uint8_t* weights = nullptr;  // of the first panel, 64-byte aligned
  int64_t weight_step = 0;           // bytes from panel to panel
  const uint8_t* zero = nullptr;     // [panels, blocks, kPanel], or nullptr: all are one
  int32_t zero_point = 0;            // which is this; otherwise 1
  const float* bias = nullptr;       // [panels, kPanel]
  float low = 0, high = 0;
  float* out = nullptr;  // [rows, outputs]
  int64_t out_step = 0;  // from row to row
  int64_t rows = 0;
  int64_t outputs = 0;  // of these panels that exist; the last may be partial
};

struct PackedKernel {
  void (*tile)(const PackedTile&) = nullptr;
  /// Makes integers of a row. `z` is zero_point of the tile.
  void (*round)(std::span<const PackedPiece> pieces, const float* data, int32_t z,
                const PackedRow& row) = nullptr;
};
struct PackedKernels {
  PackedKernel four, eight;  // bits
};
/// Those of an instruction set, defined in its own file.
template <Isa isa>
const PackedKernels& packed_kernels();

/// out[m,n] = clamp(bias[n] + sum over blocks b of scale[n,b] * sum over pieces p of b of
/// unit[m,p] * f32(sum over k in p of (code[n,k] - zero_point[n,b]) * integer[m,k])).
///
/// `unit` is the least power of two, but at least 2^-126, at which no integer of the piece,
/// round_half_to_even(data / unit), is beyond kMostInteger. The innermost sum is exact and rounded
/// to f32 once. All others begin with 0 and take their terms in order, each operation rounded to
/// f32; the bias comes last. Every instruction set and number of threads gives the same bits. A row
/// that holds NaN or an infinity gives NaN.
class PackedFloat {
 public:
  struct Weights {
    /// Writes the codes of an output, [segments, length], in [-8, 7] or [0, 15] if `bits` is 4, in
    /// [-128, 127] or [0, 255] if it is 8. Called from several threads at a time.
    std::function<void(int64_t output, std::span<int32_t> codes)> codes;
    int bits = 8;
    bool is_signed = true;
    std::span<const float> scale;         // [outputs, blocks()]
    std::span<const int32_t> zero_point;  // likewise, in the range of the codes
    std::span<const float> bias;          // [outputs]
  };
  PackedFloat(const PackedShape& shape, const Weights& weights, float low, float high,
              Isa isa = best_isa());

  /// Bytes that run() needs for so many rows.
  size_t scratch_bytes(int64_t rows) const;
  /// `data` is [rows, depth] with `data_step` numbers from row to row; writes `outputs`
  /// neighbouring numbers of each row of `out`. `scratch` is 64-byte aligned. Allocates nothing.
  void run(const float* data, int64_t data_step, int64_t rows, float* out, int64_t out_step,
           void* scratch, ThreadPool& pool) const;

  const PackedShape& shape() const { return shape_; }
  size_t constant_bytes() const;
  /// "packed 4-bit weights avx2".
  std::string describe() const;

 private:
  int64_t panels() const { return (shape_.outputs + PackedTile::kPanel - 1) / PackedTile::kPanel; }
  int64_t group_rows(int64_t rows) const;
  void pack_panel(const Weights& weights, int64_t panel, std::span<int32_t> codes);
  void run_group(const float* data, int64_t data_step, int64_t rows, float* out, int64_t out_step,
                 void* scratch, ThreadPool& pool) const;
  const PackedKernel& kernel() const;

  PackedShape shape_;
  int bits_;
  float low_, high_;
  Isa isa_;
  std::vector<PackedPiece> pieces_;
  int64_t panel_bytes_ = 0;
  size_t row_integers_ = 0, row_sums_ = 0, row_units_ = 0;  // bytes of a row
  AlignedBytes weights_;
  int32_t shift_ = 0;          // stored code - code
  std::vector<uint8_t> zero_;  // as in PackedTile; of the codes as they are stored
  int32_t zero_point_ = 1;
  std::vector<float> bias_;
};

}  // namespace nibble
