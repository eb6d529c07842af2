// Convolutions and transposed ones as products of matrices: a row of data is the patch of one
// output position, its columns are [input channel, kernel position].
#include <array>
#include <vector>

#include "ops/convolution/conv.h"
#include "ops/convolution/conv_transpose.h"
#include "ops/support/layer_matrix.h"

namespace nibble {
namespace {

using Extents = Window::Extents;

Extents unravel(int64_t index, const Extents& extents, int rank) {
  Extents at{};
  for (int axis = rank - 1; axis >= 0; --axis) {
    const auto i = static_cast<size_t>(axis);
    at[i] = index % extents[i];
    index /= extents[i];
  }
  return at;
}

// What both directions share. `input` and `output` are the extents of data and result.
class PatchMatrix : public LayerMatrix {
 public:
  void gather(const Tensor& data, int64_t group, std::span<const int64_t> rows,
              float* out) const override {
    const SpatialShape x(data.shape(), node_.channels_last);
    const Window window = window_of(data.shape());
    const Extents& result = transposed_ ? window.input : window.output;
    const Extents& source = transposed_ ? window.output : window.input;
    const int64_t positions = count(result, window.rank), pixels = count(source, window.rank);
    const int64_t channels = depth() / taps_;
    // Strides of data over images, channels and pixels.
    const int64_t image = x.channels * pixels;
    const int64_t channel = node_.channels_last ? 1 : pixels;
    const int64_t pixel = node_.channels_last ? x.channels : 1;
    const float* values = data.data<float>().data();
    std::vector<int64_t> at(static_cast<size_t>(taps_));
    for (const int64_t row : rows) {
      const Extents place = unravel(row % positions, result, window.rank);
      for (int64_t tap = 0; tap < taps_; ++tap) {
        at[static_cast<size_t>(tap)] = source_pixel(window, source, place, tap);
      }
      const float* from = values + row / positions * image + group * channels * channel;
      for (int64_t c = 0; c < channels; ++c, from += channel) {
        for (const int64_t p : at) *out++ = p < 0 ? 0.0F : from[p * pixel];
      }
    }
  }

  int64_t rows(const Shape& data) const override {
    const Window window = window_of(data);
    return SpatialShape(data, node_.channels_last).batch *
           count(transposed_ ? window.input : window.output, window.rank);
  }

 protected:
  PatchMatrix(const Node& node, const Shape& weight, bool transposed, int64_t groups,
              int64_t outputs, int64_t depth)
      : LayerMatrix(groups, outputs, depth),
        node_(node),
        weight_(weight),
        taps_(weight.elements(2, weight.rank())),
        transposed_(transposed) {}

  const Node node_;
  const Shape weight_;
  const int64_t taps_;

 private:
  static int64_t count(const Extents& extents, int rank) {
    int64_t product = 1;
    for (int axis = 0; axis < rank; ++axis) product *= extents[static_cast<size_t>(axis)];
    return product;
  }

  Window window_of(const Shape& data) const {
    return transposed_ ? conv_transpose_problem(node_, data, weight_).window
                       : conv_problem(node_, data, weight_, false).window;
  }

  // The pixel of the data that `tap` of the kernel meets at a place of the result; -1: none.
  int64_t source_pixel(const Window& window, const Extents& source, const Extents& place,
                       int64_t tap) const {
    const Extents k = unravel(tap, window.kernel, window.rank);
    int64_t pixel = 0;
    for (size_t i = 0; i < static_cast<size_t>(window.rank); ++i) {
      int64_t p = 0;
      if (transposed_) {
        p = place[i] + window.pad_begin[i] - k[i] * window.dilation[i];
        if (p % window.stride[i] != 0) return -1;
        p /= window.stride[i];
      } else {
        p = place[i] * window.stride[i] - window.pad_begin[i] + k[i] * window.dilation[i];
      }
      if (p < 0 || p >= source[i]) return -1;
      pixel = pixel * source[i] + p;
    }
    return pixel;
  }

  const bool transposed_;
};

// [O, I/group, k...]
class ConvMatrix final : public PatchMatrix {
 public:
  ConvMatrix(const Node& node, const Shape& weight, int64_t groups)
      : PatchMatrix(node, weight, false, groups, weight[0] / groups,
                    weight.elements(1, weight.rank())) {}
  int64_t element(int64_t group, int64_t output, int64_t k) const override {
    return (group * outputs() + output) * depth() + k;
  }
};

// [I, O/group, k...]
class ConvTransposeMatrix final : public PatchMatrix {
 public:
  ConvTransposeMatrix(const Node& node, const Shape& weight, int64_t groups)
      : PatchMatrix(node, weight, true, groups, weight[1],
                    weight[0] / groups * weight.elements(2, weight.rank())) {}
  int64_t element(int64_t group, int64_t output, int64_t k) const override {
    const int64_t channel = group * (depth() / taps_) + k / taps_;
    return (channel * outputs() + output) * taps_ + k % taps_;
  }
};

}  // namespace

std::unique_ptr<LayerMatrix> conv_matrix(const Node& node, const Shape& weight) {
  return std::make_unique<ConvMatrix>(node, weight, node.attributes.integer("group", 1));
}

std::unique_ptr<LayerMatrix> conv_transpose_matrix(const Node& node, const Shape& weight) {
  return std::make_unique<ConvTransposeMatrix>(node, weight, node.attributes.integer("group", 1));
}

}  // namespace nibble
