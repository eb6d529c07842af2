// Random convolutions for the kernel tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/qconv.h"

namespace nibble {

struct ConvCase {
  ConvShape shape;
  int32_t zero_point = 0;
  OutputStage::Kind kind = OutputStage::Kind::codes_u8;
  int weight_limit = 127;  // |weight| at most; 128: only -128 and 127
  int greatest_code = 255;
  bool extreme = false;  // each channel all weight_limit or all -weight_limit, codes all greatest
};

/// A case with output extents for padding [top, left, bottom, right].
inline ConvCase conv_case(int64_t in_h, int64_t in_w, int64_t in, int64_t out, int64_t kernel,
                          int64_t stride = 1, int64_t pad = 0, int64_t groups = 1,
                          int64_t dilation = 1) {
  ConvCase c;
  c.shape = {.window = {.in_h = in_h,
                        .in_w = in_w,
                        .kernel_h = kernel,
                        .kernel_w = kernel,
                        .stride_h = stride,
                        .stride_w = stride,
                        .dilation_h = dilation,
                        .dilation_w = dilation,
                        .pad_top = pad,
                        .pad_left = pad,
                        .out_h = window_output(in_h, pad, pad, kernel, stride, dilation),
                        .out_w = window_output(in_w, pad, pad, kernel, stride, dilation)},
             .in_channels = in,
             .out_channels = out,
             .groups = groups};
  return c;
}

inline std::string to_string(const ConvCase& c) {
  const ConvWindow& w = c.shape.window;
  const auto number = [](int64_t v) { return std::to_string(v) + " "; };
  return "n " + number(w.batch) + "h " + number(w.in_h) + "w " + number(w.in_w) + "c " +
         number(c.shape.in_channels) + "-> " + number(c.shape.out_channels) + "kernel " +
         number(w.kernel_h) + number(w.kernel_w) + "stride " + number(w.stride_h) +
         number(w.stride_w) + "dilation " + number(w.dilation_h) + number(w.dilation_w) + "pad " +
         number(w.pad_top) + number(w.pad_left) + "out " + number(w.out_h) + number(w.out_w) +
         "groups " + number(c.shape.groups) + "zero " + number(c.zero_point);
}

/// Everything a convolution needs, drawn from a seed.
struct ConvData {
  std::vector<uint8_t> input;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  OutputStage stage;

  ConvData(const ConvCase& c, uint64_t seed) {
    Random random(seed);
    const auto between = [&](int64_t low, int64_t high) {
      return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
    };
    input.resize(static_cast<size_t>(c.shape.window.in_pixels() * c.shape.in_channels));
    for (uint8_t& code : input) code = static_cast<uint8_t>(between(0, c.greatest_code));
    weights.resize(static_cast<size_t>(c.shape.out_channels * c.shape.depth()));
    for (int8_t& w : weights) {
      w = static_cast<int8_t>(c.weight_limit == 128 ? (random.below(2) != 0 ? 127 : -128)
                                                    : between(-c.weight_limit, c.weight_limit));
    }
    if (c.weight_limit == 128) {
      for (uint8_t& code : input) code = random.below(4) != 0 ? 255 : 0;
    }
    if (c.extreme) {
      std::fill(input.begin(), input.end(), static_cast<uint8_t>(c.greatest_code));
      for (size_t i = 0; i < weights.size(); ++i) {
        const bool below = static_cast<int64_t>(i) / c.shape.depth() % 2 != 0;
        weights[i] = static_cast<int8_t>(below ? -c.weight_limit : c.weight_limit);
      }
    }
    bias.resize(static_cast<size_t>(c.shape.out_channels));
    for (int32_t& b : bias) b = static_cast<int32_t>(between(-5000, 5000));
    stage.kind = c.kind;
    const double spread =
        100.0 * std::sqrt(static_cast<double>(c.shape.depth())) * c.weight_limit / 2 + 1;
    for (int64_t o = 0; o < c.shape.out_channels; ++o)
      stage.multiplier.push_back(static_cast<float>((40 + 120 * random.uniform()) / spread));
    stage.zero_point = static_cast<int32_t>(between(0, 255));
    stage.qmin = static_cast<int32_t>(between(0, stage.zero_point));
    stage.qmax = static_cast<int32_t>(between(stage.zero_point, 255));
    if (c.kind == OutputStage::Kind::reals_f32 && random.below(2) != 0) {
      stage.min = 0;
      stage.max = 6;
    }
  }
};

/// The raw bytes of the output.
inline std::vector<uint8_t> run_conv(const ConvCase& c, const ConvData& data, Isa isa,
                                     ThreadPool& pool) {
  const QConv conv(c.shape, data.weights, data.bias, c.zero_point, data.stage, isa, false,
                   c.greatest_code);
  std::vector<uint8_t> output(static_cast<size_t>(
      c.shape.window.out_pixels() * c.shape.out_channels * data.stage.element_bytes()));
  std::vector<uint8_t> workspace(conv.workspace_bytes());
  conv.run(data.input.data(), output.data(), workspace.data(), pool);
  return output;
}

}  // namespace nibble
