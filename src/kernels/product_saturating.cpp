#include "kernels/product_saturating.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace nibble {
namespace {

// The codes that a group's channels of one output pixel see, in the order of the weights.
void gather(const SaturatingConv& conv, const uint8_t* input, int64_t pixel, int64_t group,
            std::vector<uint8_t>& codes) {
  const ConvWindow& w = conv.shape.window;
  const int64_t x = pixel % w.out_w;
  const int64_t y = pixel / w.out_w % w.out_h;
  const int64_t n = pixel / w.out_w / w.out_h;
  const int64_t inputs = conv.shape.group_inputs();
  auto to = codes.begin();
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    const int64_t iy = y * w.stride_h - w.pad_top + ky * w.dilation_h;
    for (int64_t kx = 0; kx < w.kernel_w; ++kx, to += inputs) {
      const int64_t ix = x * w.stride_w - w.pad_left + kx * w.dilation_w;
      if (iy < 0 || iy >= w.in_h || ix < 0 || ix >= w.in_w) {
        std::fill_n(to, inputs, static_cast<uint8_t>(conv.input_zero_point));
      } else {
        const int64_t at = ((n * w.in_h + iy) * w.in_w + ix) * conv.shape.in_channels;
        std::copy_n(input + at + group * inputs, inputs, to);
      }
    }
  }
}

}  // namespace

int32_t saturating_sum(std::span<const uint8_t> codes, std::span<const int8_t> weights) {
  int32_t sum = 0;
  size_t i = 0;
  for (; i + 1 < weights.size(); i += 2) {
    sum += std::clamp(codes[i] * weights[i] + codes[i + 1] * weights[i + 1], -32768, 32767);
  }
  return i < weights.size() ? sum + codes[i] * weights[i] : sum;
}

void run_saturating(const SaturatingConv& conv, const OutputStage& stage, const uint8_t* input,
                    void* output, ThreadPool& pool) {
  const ConvShape& shape = conv.shape;
  const auto depth = static_cast<size_t>(shape.depth());
  const auto weights_of = [&](int64_t channel) {
    return conv.weights.subspan(static_cast<size_t>(channel) * depth, depth);
  };
  std::vector<int32_t> start(conv.bias.begin(), conv.bias.end());
  for (int64_t c = 0; c < shape.out_channels; ++c) {
    const std::span<const int8_t> weights = weights_of(c);
    start[static_cast<size_t>(c)] -=
        conv.input_zero_point * std::accumulate(weights.begin(), weights.end(), 0);
  }
  pool.parallel_ranges(shape.window.out_pixels(), 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> codes(depth);
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      for (int64_t c = 0; c < shape.out_channels; ++c) {
        if (c % shape.group_outputs() == 0) {
          gather(conv, input, pixel, c / shape.group_outputs(), codes);
        }
        const int32_t acc = start[static_cast<size_t>(c)] + saturating_sum(codes, weights_of(c));
        const int64_t at = pixel * shape.out_channels + c;
        if (stage.kind == OutputStage::Kind::codes_u8) {
          static_cast<uint8_t*>(output)[at] = to_code(stage, acc, c);
        } else {
          static_cast<float*>(output)[at] = to_real(stage, acc, c);
        }
      }
    }
  });
}

}  // namespace nibble
