#include "kernels/packed_float.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;
// Multiply-accumulates that are worth a task of their own.
constexpr int64_t kTaskMacs = 1 << 18;
// Integers of the rows that are multiplied at a time: they should stay in the second-level cache.
constexpr int64_t kGroupBytes = 512 * 1024;
constexpr int64_t kLeastRows = 16;

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }
constexpr int64_t round_up(int64_t count, int64_t step) { return (count + step - 1) / step * step; }

std::vector<PackedPiece> pieces_of(const PackedShape& shape) {
  std::vector<PackedPiece> pieces;
  for (int64_t b = 0; b < shape.blocks(); ++b) {
    for (int64_t left = shape.length_of(b); left > 0; left -= PackedTile::kPiece) {
      const int64_t length = std::min(left, PackedTile::kPiece);
      pieces.push_back({static_cast<int32_t>(length), length == left});
    }
  }
  return pieces;
}

}  // namespace

PackedFloat::PackedFloat(const PackedShape& shape, const Weights& weights, float low, float high,
                         Isa isa)
    : shape_(shape), bits_(weights.bits), low_(low), high_(high), isa_(isa) {
  const auto groups = static_cast<size_t>(shape_.outputs * shape_.blocks());
  check(bits_ == 4 || bits_ == 8, "weights are packed to 4 or 8 bits");
  check(weights.scale.size() == groups && weights.zero_point.size() == groups &&
            weights.bias.size() == static_cast<size_t>(shape_.outputs),
        "the scales do not fit their shape");
  pieces_ = pieces_of(shape_);
  int64_t padded = 0;
  for (const PackedPiece& piece : pieces_)
    padded += round_up(piece.length, PackedTile::step(bits_));
  row_integers_ = aligned(static_cast<size_t>(padded) * sizeof(int32_t));
  row_sums_ = aligned(pieces_.size() * 2 * sizeof(int32_t));
  row_units_ = aligned(pieces_.size() * sizeof(float));
  panel_bytes_ = padded / PackedTile::step(bits_) * PackedTile::kStepBytes +
                 shape_.blocks() * kPanel * static_cast<int64_t>(sizeof(float));
  bias_.assign(weights.bias.begin(), weights.bias.end());
  bias_.resize(static_cast<size_t>(panels() * kPanel), 0.0F);
  shift_ = weights.is_signed ? 1 << (bits_ - 1) : 0;
  const int32_t first = weights.zero_point.front();
  if (std::ranges::all_of(weights.zero_point, [&](int32_t zero) { return zero == first; })) {
    zero_point_ = first + shift_;
  } else {
    zero_.assign(static_cast<size_t>(panels() * shape_.blocks() * kPanel), 0);
  }
  weights_ = AlignedBytes(static_cast<size_t>(panels() * panel_bytes_));
  std::vector<int32_t> codes(static_cast<size_t>(shape_.depth()));
  for (int64_t panel = 0; panel < panels(); ++panel) pack_panel(weights, panel, codes);
}

// What stands beyond the last output meets a scale of zero, beyond the end of a piece data of zero.
void PackedFloat::pack_panel(const Weights& weights, int64_t panel, std::span<int32_t> codes) {
  const int64_t step = PackedTile::step(bits_);
  const int32_t most = (1 << bits_) - 1;
  const auto stored = [&](int32_t code) {
    check(code + shift_ >= 0 && code + shift_ <= most, "a code of a weight is out of its range");
    return static_cast<uint8_t>(code + shift_);
  };
  const int64_t outputs = std::min(kPanel, shape_.outputs - panel * kPanel);
  for (int64_t lane = 0; lane < outputs; ++lane) {
    weights.codes(panel * kPanel + lane, codes);
    auto* to = reinterpret_cast<uint8_t*>(weights_.data()) + panel * panel_bytes_;
    const int32_t* code = codes.data();
    int64_t block = 0;
    for (const PackedPiece& piece : pieces_) {
      for (int64_t i = 0; i < piece.length; ++i, ++code) {
        const bool high = i % step >= 4;
        uint8_t& byte = to[i / step * PackedTile::kStepBytes + lane * 4 + i % 4];
        byte = static_cast<uint8_t>(byte | (high ? stored(*code) << 4 : stored(*code)));
      }
      to += round_up(piece.length, step) / step * PackedTile::kStepBytes;
      if (!piece.ends_block) continue;
      const auto source = static_cast<size_t>((panel * kPanel + lane) * shape_.blocks() + block);
      reinterpret_cast<float*>(to)[lane] = weights.scale[source];
      const uint8_t zero = stored(weights.zero_point[source]);
      const int64_t group = (panel * shape_.blocks() + block) * kPanel + lane;
      if (!zero_.empty()) zero_[static_cast<size_t>(group)] = zero;
      to += kPanel * sizeof(float);
      ++block;
    }
  }
}

const PackedKernel& PackedFloat::kernel() const {
  const PackedKernels& kernels = isa_row(isa_).packed();
  return bits_ == 4 ? kernels.four : kernels.eight;
}

int64_t PackedFloat::group_rows(int64_t rows) const {
  return std::min(rows, std::max(kLeastRows, kGroupBytes / static_cast<int64_t>(row_integers_)));
}

size_t PackedFloat::scratch_bytes(int64_t rows) const {
  const auto count = static_cast<size_t>(group_rows(rows));
  return aligned(count * sizeof(PackedRow)) + count * (row_integers_ + row_sums_ + row_units_);
}

void PackedFloat::run(const float* data, int64_t data_step, int64_t rows, float* out,
                      int64_t out_step, void* scratch, ThreadPool& pool) const {
  const int64_t most = group_rows(rows);
  for (int64_t first = 0; first < rows; first += most) {
    run_group(data + first * data_step, data_step, std::min(most, rows - first),
              out + first * out_step, out_step, scratch, pool);
  }
}

void PackedFloat::run_group(const float* data, int64_t data_step, int64_t rows, float* out,
                            int64_t out_step, void* scratch, ThreadPool& pool) const {
  const PackedKernel& kernel = this->kernel();
  auto* const rounded = static_cast<PackedRow*>(scratch);
  auto* const buffers =
      static_cast<std::byte*>(scratch) + aligned(static_cast<size_t>(rows) * sizeof(PackedRow));
  pool.parallel_ranges(
      rows, std::max<int64_t>(1, kTaskMacs / 32 / shape_.depth()), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          std::byte* at =
              buffers + static_cast<size_t>(row) * (row_integers_ + row_sums_ + row_units_);
          rounded[row] = {.integers = at,
                          .units = reinterpret_cast<float*>(at + row_integers_),
                          .offsets = reinterpret_cast<int32_t*>(at + row_integers_ + row_units_)};
          kernel.round(pieces_, data + row * data_step, zero_point_, rounded[row]);
        }
      });
  // Each task takes some panels, and each of these all rows: its weights stay in the cache.
  const int64_t panel_macs = std::max<int64_t>(1, rows * kPanel * shape_.depth());
  const int64_t grain = round_up(std::max<int64_t>(1, kTaskMacs / panel_macs), 4);
  pool.parallel_ranges(panels(), grain, [&](int64_t begin, int64_t end) {
    const int64_t group = begin * shape_.blocks() * kPanel;
    kernel.tile(
        {.pieces = pieces_,
         .blocks = shape_.blocks(),
         .data = rounded,
         .weights = reinterpret_cast<const uint8_t*>(weights_.data()) + begin * panel_bytes_,
         .weight_step = panel_bytes_,
         .zero = zero_.empty() ? nullptr : zero_.data() + group,
         .zero_point = zero_point_,
         .bias = bias_.data() + begin * kPanel,
         .low = low_,
         .high = high_,
         .out = out + begin * kPanel,
         .out_step = out_step,
         .rows = rows,
         .outputs = std::min(end * kPanel, shape_.outputs) - begin * kPanel});
  });
}

size_t PackedFloat::constant_bytes() const {
  return weights_.size() + zero_.size() + bias_.size() * sizeof(float);
}

std::string PackedFloat::describe() const {
  return fmt::format("packed {}-bit weights {}", bits_, name_of(isa_));
}

}  // namespace nibble
