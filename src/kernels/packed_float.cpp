#include "kernels/packed_float.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

// Multiply-accumulates that are worth a task of their own.
constexpr int64_t kTaskMacs = 1 << 18;

}  // namespace

PackedFloat::PackedFloat(const PackedShape& shape, int bits, std::span<const int32_t> codes,
                         std::span<const float> scale, std::span<const int32_t> zero_point,
                         std::span<const float> bias, float low, float high, Isa isa)
    : shape_(shape),
      bits_(bits),
      run_length_(bits == 4 ? 32 : 16),
      padded_block_((std::min(shape.block, shape.length) + run_length_ - 1) / run_length_ *
                    run_length_),
      low_(low),
      high_(high),
      isa_(isa),
      scale_(scale.begin(), scale.end()),
      zero_(zero_point.begin(), zero_point.end()),
      bias_(bias.begin(), bias.end()) {
  check(bits == 4 || bits == 8, "weights are packed to 4 or 8 bits");
  shape_.block = std::min(shape.block, shape.length);
  const auto groups = static_cast<size_t>(shape_.outputs * shape_.blocks());
  check(scale_.size() == groups && zero_.size() == groups &&
            bias_.size() == static_cast<size_t>(shape_.outputs) &&
            codes.size() == static_cast<size_t>(shape_.outputs * shape_.segments * shape_.length),
        "the weights do not fit their shape");
  // Stored as they are if they fit a signed byte, and as unsigned nibbles; the zero point moves.
  const bool is_unsigned = std::ranges::all_of(codes, [](int32_t code) { return code >= 0; });
  const int32_t shift = bits == 4 ? (is_unsigned ? 0 : 8) : (is_unsigned ? -128 : 0);
  for (int32_t& zero : zero_) zero += shift;
  const int64_t row_bytes = padded_depth() * bits / 8;
  weights_ = AlignedBytes(static_cast<size_t>(shape_.outputs * row_bytes));
  auto* to = reinterpret_cast<uint8_t*>(weights_.data());
  size_t at = 0;
  for (int64_t n = 0; n < shape_.outputs; ++n) {
    for (int64_t s = 0; s < shape_.segments; ++s) {
      for (int64_t i = 0; i < shape_.length; ++i, ++at) {
        const int64_t block = s * shape_.blocks_per_segment() + i / shape_.block;
        const int64_t k = block * padded_block_ + i % shape_.block;
        const auto code = static_cast<uint8_t>(codes[at] + shift);
        if (bits == 8) {
          to[n * row_bytes + k] = code;
          continue;
        }
        check(code < 16, "a weight needs more than 4 bits");
        // Code j of a run of 32 shares its byte with code j + 16.
        uint8_t& byte = to[n * row_bytes + k / 32 * 16 + k % 16];
        byte = static_cast<uint8_t>(byte | (k % 32 < 16 ? code : code << 4));
      }
    }
  }
}

void PackedFloat::pad_segment(const float* from, int64_t segment, float* row) const {
  float* to = row + segment * shape_.blocks_per_segment() * padded_block_;
  for (int64_t i = 0; i < shape_.length; i += shape_.block, to += padded_block_) {
    const int64_t count = std::min(shape_.block, shape_.length - i);
    std::copy_n(from + i, count, to);
    std::fill(to + count, to + padded_block_, 0.0F);
  }
}

void PackedFloat::clear_segment(int64_t segment, float* row) const {
  const int64_t padded = shape_.blocks_per_segment() * padded_block_;
  std::fill_n(row + segment * padded, padded, 0.0F);
}

void PackedFloat::run(const float* data, int64_t data_step, int64_t rows, float* out,
                      int64_t out_step, ThreadPool& pool) const {
  const PackedKernels& kernels = isa_row(isa_).packed();
  const int64_t row_bytes = padded_depth() * bits_ / 8;
  const auto tile = [&](int64_t first_row, int64_t first_output) {
    const auto group = static_cast<size_t>(first_output * shape_.blocks());
    const PackedTile args{
        .data = data + first_row * data_step,
        .data_step = data_step,
        .weights = reinterpret_cast<const uint8_t*>(weights_.data()) + first_output * row_bytes,
        .weight_step = row_bytes,
        .scale = scale_.data() + group,
        .zero = zero_.data() + group,
        .blocks = shape_.blocks(),
        .runs = padded_block_ / run_length_,
        .bias = bias_.data() + first_output,
        .low = low_,
        .high = high_,
        .out = out + first_row * out_step + first_output,
        .out_step = out_step,
        .rows = static_cast<int>(std::min<int64_t>(kernels.rows, rows - first_row)),
        .outputs =
            static_cast<int>(std::min<int64_t>(kernels.outputs, shape_.outputs - first_output))};
    bits_ == 4 ? kernels.tile4(args) : kernels.tile8(args);
  };
  // Panels of outputs, each met by all rows: its weights stay in the first-level cache.
  const int64_t panels = (shape_.outputs + kernels.outputs - 1) / kernels.outputs;
  const int64_t panel_macs = std::max<int64_t>(1, rows * kernels.outputs * padded_depth());
  const int64_t grain = std::max<int64_t>(1, kTaskMacs / panel_macs);
  pool.parallel_ranges(panels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      for (int64_t row = 0; row < rows; row += kernels.rows) tile(row, panel * kernels.outputs);
    }
  });
}

size_t PackedFloat::constant_bytes() const {
  return weights_.size() + scale_.size() * sizeof(float) + zero_.size() * sizeof(int32_t) +
         bias_.size() * sizeof(float);
}

std::string PackedFloat::describe() const {
  return fmt::format("packed {}-bit weights {}", bits_, name_of(isa_));
}

}  // namespace nibble
