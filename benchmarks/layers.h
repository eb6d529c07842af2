// Convolution layers of well-known networks, one of each shape.
#pragma once

#include <array>
#include <string_view>

#include "kernels/conv_shape.h"

namespace nibble {

struct BenchmarkLayer {
  std::string_view name;
  int64_t size;  // height and width of the input
  int64_t in;
  int64_t out;
  int64_t kernel;
  int64_t stride = 1;
  int64_t pad = 0;
  int64_t groups = 1;

  ConvShape shape() const {
    const int64_t extent = window_output(size, pad, pad, kernel, stride, 1);
    return {.window = {.in_h = size,
                       .in_w = size,
                       .kernel_h = kernel,
                       .kernel_w = kernel,
                       .stride_h = stride,
                       .stride_w = stride,
                       .pad_top = pad,
                       .pad_left = pad,
                       .out_h = extent,
                       .out_w = extent},
            .in_channels = in,
            .out_channels = out,
            .groups = groups};
  }
};

inline constexpr std::array kBenchmarkLayers = {
    BenchmarkLayer{"squeezenet/conv1", 224, 3, 64, 3, 2},
    BenchmarkLayer{"squeezenet/fire2_squeeze", 55, 64, 16, 1},
    BenchmarkLayer{"squeezenet/fire2_expand1x1", 55, 16, 64, 1},
    BenchmarkLayer{"squeezenet/fire2_expand3x3", 55, 16, 64, 3, 1, 1},
    BenchmarkLayer{"squeezenet/fire4_squeeze", 27, 128, 32, 1},
    BenchmarkLayer{"squeezenet/fire4_expand3x3", 27, 32, 128, 3, 1, 1},
    BenchmarkLayer{"squeezenet/fire6_squeeze", 13, 256, 48, 1},
    BenchmarkLayer{"squeezenet/fire6_expand1x1", 13, 48, 192, 1},
    BenchmarkLayer{"squeezenet/fire6_expand3x3", 13, 48, 192, 3, 1, 1},
    BenchmarkLayer{"squeezenet/fire8_expand3x3", 13, 64, 256, 3, 1, 1},
    BenchmarkLayer{"squeezenet/conv10", 13, 512, 1000, 1},
    BenchmarkLayer{"resnet20/conv1", 32, 3, 16, 3, 1, 1},
    BenchmarkLayer{"resnet20/stage1", 32, 16, 16, 3, 1, 1},
    BenchmarkLayer{"resnet20/stage2_down", 32, 16, 32, 3, 2, 1},
    BenchmarkLayer{"resnet20/stage2", 16, 32, 32, 3, 1, 1},
    BenchmarkLayer{"resnet20/stage3_down", 16, 32, 64, 3, 2, 1},
    BenchmarkLayer{"resnet20/stage3", 8, 64, 64, 3, 1, 1},
    BenchmarkLayer{"resnet50/stage3", 14, 256, 256, 3, 1, 1},
    BenchmarkLayer{"mobilenet/depthwise112", 112, 32, 32, 3, 1, 1, 32},
    BenchmarkLayer{"mobilenet/depthwise56_down", 56, 128, 128, 3, 2, 1, 128},
    BenchmarkLayer{"mobilenet/depthwise14", 14, 512, 512, 3, 1, 1, 512},
    BenchmarkLayer{"classifier/1024x1000", 1, 1024, 1000, 1},
};

}  // namespace nibble
