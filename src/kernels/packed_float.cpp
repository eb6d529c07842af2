#include "kernels/packed_float.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = PackedTile::kPanel;
// Multiply-accumulates that are worth a task of their own.
constexpr int64_t kTaskMacs = 1 << 18;

}  // namespace

PackedFloat::PackedFloat(const PackedShape& shape, int bits, std::span<const int32_t> codes,
                         std::span<const float> scale, std::span<const int32_t> zero_point,
                         std::span<const float> bias, float low, float high, Isa isa)
    : shape_(shape), bits_(bits), low_(low), high_(high), isa_(isa) {
  const auto groups = static_cast<size_t>(shape_.outputs * shape_.blocks());
  check(bits == 4 || bits == 8, "weights are packed to 4 or 8 bits");
  check(scale.size() == groups && zero_point.size() == groups &&
            bias.size() == static_cast<size_t>(shape_.outputs) &&
            codes.size() == static_cast<size_t>(shape_.outputs * shape_.depth()),
        "the weights do not fit their shape");
  bias_.assign(bias.begin(), bias.end());
  bias_.resize(static_cast<size_t>(panels() * kPanel), 0.0F);
  // Bytes hold signed codes, halves of bytes unsigned ones; the zero point moves along.
  const bool is_unsigned = std::ranges::all_of(codes, [](int32_t code) { return code >= 0; });
  pack(codes, scale, zero_point, bits == 4 ? (is_unsigned ? 0 : 8) : (is_unsigned ? -128 : 0));
}

int64_t PackedFloat::panel_bytes() const {
  int64_t bytes = 0;
  for (int64_t b = 0; b < shape_.blocks(); ++b) {
    const int64_t length = shape_.length_of(b);
    bytes += bits_ == 8 ? length * kPanel : (length + 1) / 2 * kPanel;
  }
  return bytes;
}

// What stands beyond the last output meets a scale of zero.
void PackedFloat::pack(std::span<const int32_t> codes, std::span<const float> scale,
                       std::span<const int32_t> zero_point, int32_t shift) {
  const auto groups = static_cast<size_t>(panels() * shape_.blocks() * kPanel);
  scale_.assign(groups, 0.0F);
  zero_.assign(groups, 0);
  weights_ = AlignedBytes(static_cast<size_t>(panels() * panel_bytes()));
  for (int64_t n = 0; n < shape_.outputs; ++n) {
    const int64_t panel = n / kPanel, lane = n % kPanel;
    auto* to = reinterpret_cast<uint8_t*>(weights_.data()) + panel * panel_bytes() + lane;
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
          to[i * kPanel] = code;
          continue;
        }
        check(code < 16, "a weight needs more than 4 bits");
        uint8_t& byte = to[i / 2 * kPanel];
        byte = static_cast<uint8_t>(byte | (i % 2 == 0 ? code : code << 4));
      }
      to += (bits_ == 8 ? length : (length + 1) / 2) * kPanel;
    }
  }
}

void PackedFloat::run(const float* data, int64_t data_step, int64_t rows, float* out,
                      int64_t out_step, ThreadPool& pool) const {
  const PackedKernels& kernels = isa_row(isa_).packed();
  const int64_t bytes = panel_bytes();
  // Each task takes some panels, and each of these all rows: its weights stay in the cache.
  const int64_t panel_macs = std::max<int64_t>(1, rows * kPanel * shape_.depth());
  const int64_t worthwhile = std::max<int64_t>(1, kTaskMacs / panel_macs);
  const int64_t grain = (worthwhile + kernels.panels - 1) / kernels.panels * kernels.panels;
  pool.parallel_ranges(panels(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel += kernels.panels) {
      const int64_t count = std::min<int64_t>(kernels.panels, end - panel);
      const int64_t group = panel * shape_.blocks() * kPanel;
      const PackedTile tile{
          .shape = &shape_,
          .data = data,
          .data_step = data_step,
          .weights = reinterpret_cast<const uint8_t*>(weights_.data()) + panel * bytes,
          .weight_step = bytes,
          .scale = scale_.data() + group,
          .zero = zero_.data() + group,
          .bias = bias_.data() + panel * kPanel,
          .low = low_,
          .high = high_,
          .out = out + panel * kPanel,
          .out_step = out_step,
          .rows = rows,
          .outputs = std::min(count * kPanel, shape_.outputs - panel * kPanel)};
      bits_ == 4 ? kernels.tile4(tile) : kernels.tile8(tile);
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
