#include "kernels/depthwise.h"

#include <algorithm>

namespace nibble {
namespace {

// Multiply-accumulates that are worth a task of their own (some microseconds).
constexpr int64_t kTaskMacs = 1 << 19;

// Where channel c of a block stands among the accumulators (see DepthwiseKernels).
int64_t position(int64_t channel, int64_t block) {
  const int64_t lane = channel / 16;
  const int64_t i = channel % 16 / 4;
  return i * (block / 4) + lane * 4 + channel % 4;
}

}  // namespace

PackedDepthwise::PackedDepthwise(const DepthwiseKernels& kernels, Shape shape,
                                 std::span<const int8_t> weights, std::span<const int32_t> bias,
                                 int32_t input_zero_point, const OutputStage& stage)
    : kernels_(kernels),
      taps_(std::move(shape.taps)),
      tap_count_(static_cast<int64_t>(taps_.size())),
      channels_(shape.channels),
      repeat_(shape.adjacent && kernels.block % channels_ == 0 ? kernels.block / channels_ : 1),
      stage_(stage_args(stage)),
      element_bytes_(stage.element_bytes()) {
  // The last group is filled up with a tap that is read and meets zero weights.
  while (static_cast<int64_t>(taps_.size()) % kernels.taps != 0) taps_.push_back(taps_.front());
  const int64_t groups = static_cast<int64_t>(taps_.size()) / kernels.taps;
  const int64_t slots = channels_ * repeat_;
  const int64_t blocks = (slots + kernels.block - 1) / kernels.block;
  block_bytes_ = groups * kernels.block * 4;
  weights_ = AlignedBytes(static_cast<size_t>(blocks * block_bytes_));
  bias_.assign(static_cast<size_t>(blocks * kernels.block), 0);
  multiplier_.assign(bias_.size(), 0.0F);
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = first_slot(block);
    std::byte* packed = weights_.data() + block * block_bytes_;
    for (int64_t i = first; i < std::min(first + kernels.block, slots); ++i) {
      const int64_t c = i % channels_;
      const int64_t at = position(i - first, kernels.block);
      int32_t sum = 0;
      for (int64_t t = 0; t < tap_count_; ++t) {
        const int8_t w = weights[static_cast<size_t>(c * tap_count_ + t)];
        sum += w;
        const int64_t element =
            (t / kernels.taps * kernels.block + at) * kernels.taps + t % kernels.taps;
        if (kernels.taps == 4) {
          packed[element] = static_cast<std::byte>(w);
        } else {
          reinterpret_cast<int16_t*>(packed)[element] = w;
        }
      }
      const auto slot = static_cast<size_t>(block * kernels.block + at);
      const int64_t offset = bias[static_cast<size_t>(c)] - int64_t{input_zero_point} * sum;
      bias_[slot] = static_cast<int32_t>(static_cast<uint32_t>(offset));  // as PackedProduct::pack
      multiplier_[slot] = stage.multiplier[static_cast<size_t>(c)];
    }
  }
}

// The last of several blocks is moved back to be a whole one, and does some channels once more.
int64_t PackedDepthwise::first_slot(int64_t block) const {
  const int64_t slots = channels_ * repeat_;
  return std::min(block * kernels_.block, std::max<int64_t>(0, slots - kernels_.block));
}

void PackedDepthwise::run(const PixelLines& lines, const int32_t* bias, const float* multiplier,
                          void* output, ThreadPool& pool) const {
  const int64_t count = lines.images * lines.lines;
  const int64_t line_macs = std::max<int64_t>(1, lines.pixels * channels_ * tap_count_);
  const int64_t grain = std::max<int64_t>(1, kTaskMacs / line_macs);
  DepthwiseArgs args;
  args.pixel_step = lines.pixel_step * repeat_;
  args.taps = taps_.data();
  args.groups = static_cast<int64_t>(taps_.size()) / kernels_.taps;
  args.output_step = channels_ * repeat_ * element_bytes_;
  args.stage = stage_;
  args.bias = bias;
  args.multiplier = multiplier;
  pool.parallel_ranges(count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const uint8_t* input = lines.input + line / lines.lines * lines.image_step +
                             line % lines.lines * lines.line_step;
      run_line(args, input,
               static_cast<std::byte*>(output) + line * lines.pixels * channels_ * element_bytes_,
               lines.pixels);
    }
  });
}

void PackedDepthwise::run_line(DepthwiseArgs args, const uint8_t* input, std::byte* output,
                               int64_t pixels) const {
  const int64_t slots = channels_ * repeat_;
  const int32_t* bias = args.bias;
  const float* multiplier = args.multiplier;
  for (int64_t block = 0; block * kernels_.block < slots; ++block) {
    const int64_t first = first_slot(block);
    args.input = input + first;
    args.weights = weights_.data() + block * block_bytes_;
    args.bias = bias + block * kernels_.block;
    args.multiplier = multiplier + block * kernels_.block;
    args.output = output + first * element_bytes_;
    args.channels = std::min(kernels_.block, slots - first);
    args.pixels = pixels / repeat_;
    kernels_.line(args);
  }
  const int64_t left = pixels % repeat_;
  if (left == 0) return;
  // There is one block then; the pixels left fill a part of it.
  args.input += args.pixels * args.pixel_step;
  args.output += args.pixels * args.output_step;
  args.channels = left * channels_;
  args.pixels = 1;
  kernels_.line(args);
}

size_t PackedDepthwise::constant_bytes() const {
  return weights_.size() + 4 * (bias_.size() + multiplier_.size());
}

}  // namespace nibble
