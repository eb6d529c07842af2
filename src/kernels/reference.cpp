#include "kernels/reference.h"

#include <cstdlib>
#include <limits>

#include "base/check.h"

namespace nibble {

int32_t accumulate(const ReferenceConv& conv, const uint8_t* input, int64_t n, int64_t y, int64_t x,
                   int64_t channel) {
  const ConvWindow& w = conv.shape.window;
  const int64_t inputs = conv.shape.group_inputs();
  const int64_t first = channel / conv.shape.group_outputs() * inputs;
  const int8_t* weights = conv.weights.data() + channel * conv.shape.depth();
  int32_t acc = conv.bias[static_cast<size_t>(channel)];
  for (int64_t ky = 0; ky < w.kernel_h; ++ky) {
    const int64_t iy = y * w.stride_h - w.pad_top + ky * w.dilation_h;
    if (iy < 0 || iy >= w.in_h) continue;
    for (int64_t kx = 0; kx < w.kernel_w; ++kx) {
      const int64_t ix = x * w.stride_w - w.pad_left + kx * w.dilation_w;
      if (ix < 0 || ix >= w.in_w) continue;
      const uint8_t* pixel = input + ((n * w.in_h + iy) * w.in_w + ix) * conv.shape.in_channels;
      for (int64_t i = 0; i < inputs; ++i) {
        acc += (pixel[first + i] - conv.input_zero_point) *
               weights[(i * w.kernel_h + ky) * w.kernel_w + kx];
      }
    }
  }
  return acc;
}

void run_reference(const ReferenceConv& conv, const OutputStage& stage, const uint8_t* input,
                   void* output, ThreadPool& pool) {
  const ConvWindow& w = conv.shape.window;
  pool.parallel_ranges(w.out_pixels(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const int64_t x = pixel % w.out_w;
      const int64_t y = pixel / w.out_w % w.out_h;
      const int64_t n = pixel / w.out_w / w.out_h;
      for (int64_t c = 0; c < conv.shape.out_channels; ++c) {
        const int32_t acc = accumulate(conv, input, n, y, x, c);
        const int64_t at = pixel * conv.shape.out_channels + c;
        if (stage.kind == OutputStage::Kind::codes_u8) {
          static_cast<uint8_t*>(output)[at] = to_code(stage, acc, c);
        } else {
          static_cast<float*>(output)[at] = to_real(stage, acc, c);
        }
      }
    }
  });
}

void prove_int32(std::span<const int8_t> weights, std::span<const int32_t> bias, int64_t depth) {
  for (size_t c = 0; c < bias.size(); ++c) {
    int64_t sum = 0;
    const size_t first = c * static_cast<size_t>(depth);
    for (const int8_t w : weights.subspan(first, static_cast<size_t>(depth))) sum += std::abs(w);
    const int64_t bound = std::abs(int64_t{bias[c]}) + 255 * sum;
    if (bound > std::numeric_limits<int32_t>::max())
      fail(ErrorCode::unsupported,
           "output channel {} may sum up to {}, more than a 32-bit integer holds", c, bound);
  }
}

}  // namespace nibble
