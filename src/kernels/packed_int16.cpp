#include "kernels/packed_int16.h"

#include <algorithm>
#include <cstdlib>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;
// Multiply-accumulates that are worth a task of their own.
constexpr int64_t kTaskMacs = 1 << 19;

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// The largest integer of data at which no sum of weights * data leaves 32 bits.
int32_t limit_of(const PackedShape& shape, std::span<const int32_t> codes,
                 std::span<const int32_t> zero_point) {
  int64_t largest = 1;
  auto code = codes.begin();
  for (size_t group = 0; group < zero_point.size(); ++group) {
    int64_t sum = 0;
    const int64_t length = shape.length_of(static_cast<int64_t>(group) % shape.blocks());
    for (int64_t i = 0; i < length; ++i, ++code) sum += std::abs(*code - zero_point[group]);
    largest = std::max(largest, sum);
  }
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(
      std::min<int64_t>(std::numeric_limits<int16_t>::max(), kMost / largest));
}

}  // namespace

PackedInt16::PackedInt16(const PackedShape& shape, int bits, std::span<const int32_t> codes,
                         std::span<const float> scale, std::span<const int32_t> zero_point,
                         std::span<const float> bias, Isa isa)
    : shape_(shape), bits_(bits), isa_(isa) {
  const auto groups = static_cast<size_t>(shape_.outputs * shape_.blocks());
  check(bits == 4 || bits == 8, "weights are packed to 4 or 8 bits");
  check(scale.size() == groups && zero_point.size() == groups &&
            bias.size() == static_cast<size_t>(shape_.outputs) &&
            codes.size() == static_cast<size_t>(shape_.outputs * shape_.depth()),
        "the weights do not fit their shape");
  for (int64_t b = 0; b < shape_.blocks(); ++b) pairs_ += (shape_.length_of(b) + 1) / 2;
  limit_ = limit_of(shape_, codes, zero_point);
  bias_.assign(bias.begin(), bias.end());
  bias_.resize(static_cast<size_t>(panels() * kPanel), 0.0F);
  const bool is_unsigned = std::ranges::all_of(codes, [](int32_t code) { return code >= 0; });
  pack(codes, scale, zero_point, bits == 4 ? (is_unsigned ? 0 : 8) : (is_unsigned ? -128 : 0));
}

int64_t PackedInt16::panel_bytes() const { return pairs_ * kPanel * (bits_ == 8 ? 2 : 1); }

// What stands beyond the last output meets a scale of zero, beyond the end of a block data of zero.
void PackedInt16::pack(std::span<const int32_t> codes, std::span<const float> scale,
                       std::span<const int32_t> zero_point, int32_t shift) {
  const auto groups = static_cast<size_t>(panels() * shape_.blocks() * kPanel);
  scale_.assign(groups, 0.0F);
  zero_.assign(groups, 0);
  weights_ = AlignedBytes(static_cast<size_t>(panels() * panel_bytes()));
  for (int64_t n = 0; n < shape_.outputs; ++n) {
    const int64_t panel = n / kPanel, lane = n % kPanel;
    auto* to = reinterpret_cast<uint8_t*>(weights_.data()) + panel * panel_bytes();
    auto at = static_cast<size_t>(n * shape_.depth());
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      const auto group = static_cast<size_t>((panel * shape_.blocks() + b) * kPanel + lane);
      const auto source = static_cast<size_t>(n * shape_.blocks() + b);
      scale_[group] = scale[source];
      zero_[group] = zero_point[source] + shift;
      const int64_t length = shape_.length_of(b);
      for (int64_t i = 0; i < length; ++i, ++at) {
        const auto code = static_cast<uint8_t>(codes[at] + shift);
        if (bits_ == 8) {
          to[(i / 2 * kPanel + lane) * 2 + i % 2] = code;
          continue;
        }
        check(code < 16, "a weight needs more than 4 bits");
        uint8_t& byte = to[i / 2 * kPanel + lane];
        byte = static_cast<uint8_t>(byte | (i % 2 == 0 ? code : code << 4));
      }
      to += (length + 1) / 2 * kPanel * (bits_ == 8 ? 2 : 1);
    }
  }
}

size_t PackedInt16::scratch_bytes(int64_t rows) const {
  const auto count = static_cast<size_t>(rows);
  return aligned(count * sizeof(Int16Row)) +
         count * (aligned(static_cast<size_t>(pairs_) * 2 * sizeof(int16_t)) +
                  aligned(static_cast<size_t>(shape_.blocks()) * sizeof(int32_t)));
}

void PackedInt16::run(const float* data, int64_t data_step, int64_t rows, float* out,
                      int64_t out_step, void* scratch, ThreadPool& pool) const {
  const Int16Kernels& kernels = isa_row(isa_).int16();
  auto* const rounded = static_cast<Int16Row*>(scratch);
  auto* const buffers =
      static_cast<std::byte*>(scratch) + aligned(static_cast<size_t>(rows) * sizeof(Int16Row));
  const size_t integers = aligned(static_cast<size_t>(pairs_) * 2 * sizeof(int16_t));
  const size_t sums = aligned(static_cast<size_t>(shape_.blocks()) * sizeof(int32_t));
  const int64_t grain = std::max<int64_t>(1, kTaskMacs / 32 / shape_.depth());
  pool.parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::byte* at = buffers + static_cast<size_t>(row) * (integers + sums);
      rounded[row] = {.integers = reinterpret_cast<int16_t*>(at),
                      .sums = reinterpret_cast<int32_t*>(at + integers)};
      kernels.round(shape_, data + row * data_step, static_cast<float>(limit_), rounded[row]);
    }
  });
  // Each task takes some panels, and each of these all rows: its weights stay in the cache.
  const int64_t bytes = panel_bytes();
  const int64_t panel_macs = std::max<int64_t>(1, rows * kPanel * shape_.depth());
  pool.parallel_ranges(
      panels(), std::max<int64_t>(1, kTaskMacs / panel_macs), [&](int64_t begin, int64_t end) {
        const int64_t group = begin * shape_.blocks() * kPanel;
        const Int16Tile tile{
            .shape = &shape_,
            .data = rounded,
            .weights = reinterpret_cast<const uint8_t*>(weights_.data()) + begin * bytes,
            .weight_step = bytes,
            .scale = scale_.data() + group,
            .zero = zero_.data() + group,
            .bias = bias_.data() + begin * kPanel,
            .out = out + begin * kPanel,
            .out_step = out_step,
            .rows = rows,
            .outputs = std::min(end * kPanel, shape_.outputs) - begin * kPanel};
        bits_ == 4 ? kernels.tile4(tile) : kernels.tile8(tile);
      });
}

size_t PackedInt16::constant_bytes() const {
  return weights_.size() + scale_.size() * sizeof(float) + zero_.size() * sizeof(int32_t) +
         bias_.size() * sizeof(float);
}

std::string PackedInt16::describe() const {
  return fmt::format("packed {}-bit weights {}", bits_, name_of(isa_));
}

}  // namespace nibble
