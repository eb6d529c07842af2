// Geometry of a channels-last convolution or pooling window.
#pragma once

#include <cstdint>

namespace nibble {

/// A window that slides over [batch, in_h, in_w, channels]. One spatial dimension: in_h = kernel_h
/// = 1. Padding may be negative at no place; the far padding is implied by out_h and out_w, which
/// may reach further than the input plus padding (ceil_mode).
struct ConvWindow {
  int64_t batch = 1;
  int64_t in_h = 1;
  int64_t in_w = 1;
  int64_t kernel_h = 1;
  int64_t kernel_w = 1;
  int64_t stride_h = 1;
  int64_t stride_w = 1;
  int64_t dilation_h = 1;
  int64_t dilation_w = 1;
  int64_t pad_top = 0;
  int64_t pad_left = 0;
  int64_t out_h = 1;
  int64_t out_w = 1;

  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t in_pixels() const { return batch * in_h * in_w; }
  int64_t out_pixels() const { return batch * out_h * out_w; }
};

/// Output extent along one axis with padding at both ends (floor mode).
constexpr int64_t window_output(int64_t in, int64_t pad_begin, int64_t pad_end, int64_t kernel,
                                int64_t stride, int64_t dilation) {
  const int64_t span = in + pad_begin + pad_end - dilation * (kernel - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

struct ConvShape {
  ConvWindow window;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;

  int64_t group_inputs() const { return in_channels / groups; }
  int64_t group_outputs() const { return out_channels / groups; }
  /// Multiplications per output channel.
  int64_t depth() const { return group_inputs() * window.taps(); }
  /// Multiply-accumulates of the whole layer.
  int64_t macs() const { return window.out_pixels() * out_channels * depth(); }
};

}  // namespace nibble
