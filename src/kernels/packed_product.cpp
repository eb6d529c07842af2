#include "kernels/packed_product.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

const MicroKernels& micro_kernels(Isa isa) {
  const IsaRow& row = isa_row(isa);
  check(row.micro != nullptr, "there are no micro kernels for this instruction set");
  return row.micro();
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Multiply-accumulates that are worth a task of their own (about 2 microseconds).
constexpr int64_t kTaskMacs = 1 << 20;
// Packed weights walked per pass over the tiles: they should stay in the second-level cache.
constexpr int64_t kPassBytes = 256 * 1024;

void store_weight(std::byte* quad, const MicroKernels& micro, int64_t lane, int64_t i, int8_t w) {
  if (micro.format == WeightFormat::quads_s8) {
    quad[lane * 4 + i] = static_cast<std::byte>(w);
    return;
  }
  const int64_t at = (i % 2) * micro.lanes * 2 + lane * 2 + i / 2;
  reinterpret_cast<int16_t*>(quad)[at] = w;
}

}  // namespace

StageArgs stage_args(const OutputStage& stage) {
  const bool codes = stage.kind == OutputStage::Kind::codes_u8;
  return {.codes = codes,
          .zero_point = stage.zero_point,
          .low = codes ? static_cast<float>(stage.qmin - stage.zero_point) : stage.min,
          .high = codes ? static_cast<float>(stage.qmax - stage.zero_point) : stage.max};
}

PackedProduct::PackedProduct(ProductShape shape, std::span<const int8_t> weights,
                             std::span<const int32_t> bias, int32_t input_zero_point,
                             const OutputStage& stage, Isa isa)
    : PackedProduct(std::move(shape), stage, isa) {
  pack(weights, bias, input_zero_point, stage);
}

PackedProduct::PackedProduct(ProductShape shape, const OutputStage& stage, Isa isa)
    : shape_(std::move(shape)),
      micro_(micro_kernels(isa)),
      stage_(stage_args(stage)),
      element_bytes_(stage.element_bytes()),
      quads_(ceil_div(shape_.segment_bytes, 4)),
      block_bytes_(static_cast<int64_t>(shape_.segments.size()) * quads_ * micro_.quad_bytes()) {
  panels_ = make_panels(2);
  wide_panels_ = make_panels(MicroKernels::kMaxBlocks);
}

int64_t PackedProduct::blocks() const {
  return shape_.groups * ceil_div(shape_.group_outputs, micro_.lanes);
}

int64_t PackedProduct::slot(int64_t output) const {
  const int64_t group_blocks = ceil_div(shape_.group_outputs, micro_.lanes);
  const int64_t in_group = output % shape_.group_outputs;
  return (output / shape_.group_outputs * group_blocks + in_group / micro_.lanes) * micro_.lanes +
         in_group % micro_.lanes;
}

void PackedProduct::pack(std::span<const int8_t> weights, std::span<const int32_t> bias,
                         int32_t input_zero_point, const OutputStage& stage) {
  weights_ = AlignedBytes(weight_bytes());
  bias_.assign(static_cast<size_t>(slots()), 0);
  multiplier_.assign(bias_.size(), 0.0F);
  const int64_t depth = shape_.depth();
  for (int64_t output = 0; output < shape_.outputs(); ++output) {
    const int64_t at_slot = slot(output);
    const int64_t block = at_slot / micro_.lanes, lane = at_slot % micro_.lanes;
    int64_t sum = 0;
    for (int64_t k = 0; k < depth; ++k) {
      const int8_t w = weights[static_cast<size_t>(output * depth + k)];
      const int64_t at = k % shape_.segment_bytes;
      const int64_t quad = k / shape_.segment_bytes * quads_ + at / 4;
      store_weight(weights_.data() + block * block_bytes_ + quad * micro_.quad_bytes(), micro_,
                   lane, at % 4, w);
      sum += w;
    }
    // May wrap; so do the sums of the kernels, and the total, which fits, comes out right.
    const int64_t offset = bias[static_cast<size_t>(output)] - input_zero_point * sum;
    bias_[static_cast<size_t>(at_slot)] = static_cast<int32_t>(static_cast<uint32_t>(offset));
    multiplier_[static_cast<size_t>(at_slot)] = stage.multiplier[static_cast<size_t>(output)];
  }
}

std::vector<PackedProduct::Panel> PackedProduct::make_panels(int most_blocks) const {
  std::vector<Panel> panels;
  const int64_t group_blocks = ceil_div(shape_.group_outputs, micro_.lanes);
  for (int64_t group = 0; group < shape_.groups; ++group) {
    for (int64_t block = 0; block < group_blocks;) {
      int blocks = most_blocks;
      while (micro_.max_pixels[static_cast<size_t>(blocks - 1)] == 0 ||
             blocks > group_blocks - block)
        --blocks;
      const int64_t first = block * micro_.lanes;
      panels.push_back(
          {.group = group,
           .first_block = group * group_blocks + block,
           .first_output = group * shape_.group_outputs + first,
           .channels = std::min<int64_t>(blocks * micro_.lanes, shape_.group_outputs - first),
           .blocks = blocks});
      block += blocks;
    }
  }
  return panels;
}

// How each line is cut into tiles of nearly equal size.
struct PackedProduct::Split {
  int64_t pixels;  // of a line
  int64_t tiles;   // per line

  Split(int64_t pixels, int64_t largest) : pixels(pixels), tiles(ceil_div(pixels, largest)) {}
  int64_t begin(int64_t tile) const { return pixels * tile / tiles; }
};

void PackedProduct::run(const PixelLines& lines, const ProductOperand& operand, void* output,
                        ThreadPool& pool) const {
  if (lines.pixels <= 0 || lines.lines <= 0 || lines.images <= 0) return;
  // Two blocks of channels at a time measure best, until there are so few pixels that four fit.
  const bool wide = lines.pixels <= micro_.max_pixels.back();
  const std::span<const Panel> all = wide ? wide_panels_ : panels_;
  int largest = micro_.max_pixels.front();
  for (const Panel& panel : all)
    largest = std::min(largest, micro_.max_pixels[static_cast<size_t>(panel.blocks - 1)]);
  const Split split(lines.pixels, largest);
  const int64_t tiles = lines.images * lines.lines * split.tiles;
  const int64_t macs =
      lines.images * lines.lines * lines.pixels * shape_.outputs() * shape_.depth();
  const int64_t wanted =
      pool.threads() == 1 ? 1 : std::clamp<int64_t>(macs / kTaskMacs, 1, 8 * pool.threads());
  const int64_t tile_parts = std::min(tiles, wanted);
  const auto panels = static_cast<int64_t>(all.size());
  const int64_t panel_parts = std::min(panels, ceil_div(wanted, tile_parts));
  auto* bytes = static_cast<std::byte*>(output);
  pool.parallel_for(tile_parts * panel_parts, [&](int64_t task) {
    const int64_t t = task / panel_parts;
    const int64_t p = task % panel_parts;
    const int64_t first = panels * p / panel_parts;
    const int64_t count = panels * (p + 1) / panel_parts - first;
    run_tiles(lines, operand, split,
              all.subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
              tiles * t / tile_parts, tiles * (t + 1) / tile_parts, bytes);
  });
}

void PackedProduct::run_tiles(const PixelLines& lines, const ProductOperand& operand,
                              const Split& split, std::span<const Panel> panels, int64_t first_tile,
                              int64_t last_tile, std::byte* output) const {
  TileArgs args;
  args.pixel_step = lines.pixel_step;
  args.segments = shape_.segments.data();
  args.segment_count = static_cast<int64_t>(shape_.segments.size());
  args.quads = quads_;
  args.block_step = block_bytes_;
  args.output_step = shape_.outputs() * element_bytes_;
  args.stage = stage_;
  const int64_t panel_bytes = block_bytes_ * panels.front().blocks;
  const auto pass = static_cast<size_t>(std::max<int64_t>(1, kPassBytes / panel_bytes));
  for (size_t begin = 0; begin < panels.size(); begin += pass) {
    const size_t end = std::min(panels.size(), begin + pass);
    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
      const int64_t line = tile / split.tiles;
      const int64_t x = split.begin(tile % split.tiles);
      const auto pixels = static_cast<int>(split.begin(tile % split.tiles + 1) - x);
      const uint8_t* input = lines.input + line / lines.lines * lines.image_step +
                             line % lines.lines * lines.line_step + x * lines.pixel_step;
      std::byte* out = output + (line * lines.pixels + x) * args.output_step;
      for (size_t i = begin; i < end; ++i) {
        const Panel& panel = panels[i];
        const auto slot = static_cast<size_t>(panel.first_block * micro_.lanes);
        args.input = input + panel.group * shape_.group_inputs;
        args.weights = operand.weights + panel.first_block * block_bytes_;
        args.bias = operand.bias + slot;
        args.multiplier = operand.multiplier + slot;
        args.pixel_bias =
            operand.pixel_bias == nullptr ? nullptr : operand.pixel_bias + line * lines.pixels + x;
        args.output = out + panel.first_output * element_bytes_;
        args.channels = panel.channels;
        micro_.tile(pixels, panel.blocks)(args);
      }
    }
  }
}

size_t PackedProduct::constant_bytes() const {
  return weights_.size() + 4 * (bias_.size() + multiplier_.size());
}

}  // namespace nibble
