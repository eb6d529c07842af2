#include "kernels/packed_product.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "kernels/isa_table.h"
#include "kernels/reference.h"

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

}  // namespace

StageArgs stage_args(const OutputStage& stage) {
  const bool codes = stage.kind == OutputStage::Kind::codes_u8;
  return {.codes = codes,
          .zero_point = stage.zero_point,
          .low = codes ? static_cast<float>(stage.qmin - stage.zero_point) : stage.min,
          .high = codes ? static_cast<float>(stage.qmax - stage.zero_point) : stage.max};
}

PackedProduct::PackedProduct(ProductShape shape, const WeightView& weights,
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
      quads_(shape_.quads()) {
  panels_ = make_panels(2);
  wide_panels_ = make_panels(MicroForm::kMaxBlocks);
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

void PackedProduct::pack(const WeightView& weights, std::span<const int32_t> bias,
                         int32_t input_zero_point, const OutputStage& stage) {
  bias_.assign(static_cast<size_t>(slots()), 0);
  multiplier_.assign(bias_.size(), 0.0F);
  const auto depth = static_cast<size_t>(shape_.depth());
  std::vector<AlignedBytes> packed;
  std::vector<int8_t> rows;
  size_t size = 0;
  auto part = panels_.begin();
  for (Panel& panel : wide_panels_) {
    rows.resize(static_cast<size_t>(panel.channels) * depth);
    weights.copy(panel.first_output, panel.channels, rows.data());
    for (int64_t c = 0; c < panel.channels; ++c) {
      const auto output = static_cast<size_t>(panel.first_output + c);
      const std::span row = std::span(rows).subspan(static_cast<size_t>(c) * depth, depth);
      prove_int32(row, {&bias[output], 1}, shape_.depth());
      // May wrap; so do the sums of the kernels, and the total, which fits, comes out right.
      const int64_t sum = std::accumulate(row.begin(), row.end(), int64_t{0});
      const int64_t offset = bias[output] - input_zero_point * sum;
      const auto at = static_cast<size_t>(panel.first_block * micro_.lanes + c);
      bias_[at] = static_cast<int32_t>(static_cast<uint32_t>(offset));
      multiplier_[at] = stage.multiplier[output];
    }
    packed.push_back(pack_panel(rows, panel));
    panel.offset = static_cast<int64_t>(size);
    size += packed.back().size();
    // The narrow panels in it are of the same form.
    const int64_t end = panel.first_block + panel.blocks;
    for (; part != panels_.end() && part->first_block < end; ++part) {
      part->form = panel.form;
      part->run = panel.run;
      part->block_bytes = panel.block_bytes;
      part->offset = panel.offset + (part->first_block - panel.first_block) * panel.block_bytes;
    }
  }
  weights_ = AlignedBytes(size);
  std::byte* to = weights_.data();
  for (const AlignedBytes& bytes : packed) to = std::copy_n(bytes.data(), bytes.size(), to);
}

AlignedBytes PackedProduct::pack_panel(std::span<const int8_t> rows, Panel& panel) const {
  const auto depth = static_cast<size_t>(shape_.depth());
  WeightBounds bounds{.greatest_code = shape_.greatest_code};
  for (size_t at = 0; at < rows.size(); at += depth) bounds.add(rows.subspan(at, depth), quads_);
  panel.form = &form_for(micro_, bounds);
  panel.run = bounds.run;
  panel.block_bytes = nibble::block_bytes(*panel.form, micro_.lanes, quads_);
  AlignedBytes packed(static_cast<size_t>(panel.blocks * panel.block_bytes));
  const size_t most = static_cast<size_t>(micro_.lanes) * depth;
  for (size_t b = 0; b < static_cast<size_t>(panel.blocks); ++b) {
    const std::span<const int8_t> left = rows.subspan(b * most);
    pack_block(*panel.form, micro_.lanes, quads_, left.first(std::min(most, left.size())),
               packed.data() + b * static_cast<size_t>(panel.block_bytes));
  }
  return packed;
}

std::vector<PackedProduct::Panel> PackedProduct::make_panels(int most_blocks) const {
  std::vector<Panel> panels;
  const int64_t group_blocks = ceil_div(shape_.group_outputs, micro_.lanes);
  for (int64_t group = 0; group < shape_.groups; ++group) {
    for (int64_t block = 0; block < group_blocks;) {
      int blocks = most_blocks;
      while (micro_.any().max_pixels[static_cast<size_t>(blocks - 1)] == 0 ||
             blocks > group_blocks - block)
        --blocks;
      const int64_t first = block * micro_.lanes;
      panels.push_back(
          {.group = group,
           .first_block = group * group_blocks + block,
           .first_output = group * shape_.group_outputs + first,
           .channels = std::min<int64_t>(blocks * micro_.lanes, shape_.group_outputs - first),
           .blocks = blocks,
           .form = &micro_.any(),
           .offset = (group * group_blocks + block) * block_bytes(),
           .block_bytes = block_bytes()});
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
  const bool wide = lines.pixels <= micro_.any().max_pixels.back();
  const std::span<const Panel> all = wide ? wide_panels_ : panels_;
  int largest = std::numeric_limits<int>::max();
  for (const Panel& panel : all)
    largest = std::min(largest, panel.form->max_pixels[static_cast<size_t>(panel.blocks - 1)]);
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
  args.segment_count = quads_.segments;
  args.quads = quads_.segment_quads();
  args.output_step = shape_.outputs() * element_bytes_;
  args.stage = stage_;
  const int64_t panel_bytes = panels.front().block_bytes * panels.front().blocks;
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
        args.weights = operand.weights + panel.offset;
        args.block_step = panel.block_bytes;
        args.run = panel.run;
        args.bias = operand.bias + slot;
        args.multiplier = operand.multiplier + slot;
        args.pixel_bias =
            operand.pixel_bias == nullptr ? nullptr : operand.pixel_bias + line * lines.pixels + x;
        args.output = out + panel.first_output * element_bytes_;
        args.channels = panel.channels;
        panel.form->tile(pixels, panel.blocks)(args);
      }
    }
  }
}

std::string PackedProduct::describe_weights() const {
  const auto of_format = [&](WeightFormat format) {
    int64_t channels = 0;
    for (const Panel& panel : wide_panels_) {
      if (panel.form->format == format) channels += panel.channels;
    }
    return channels;
  };
  if (of_format(WeightFormat::nibbles) == shape_.outputs()) return "s4";
  const int64_t widened = micro_.forms.size() > 1 ? of_format(WeightFormat::pairs_s16) : int64_t{0};
  if (widened == 0) return "s8";
  return fmt::format("s8 ({} of {} channels in 16 bits)", widened, shape_.outputs());
}

size_t PackedProduct::constant_bytes() const {
  return weights_.size() + 4 * (bias_.size() + multiplier_.size());
}

}  // namespace nibble
