// Windows that slide over spatial axes: the geometry that Conv, ConvTranspose and the poolings
// share.
#pragma once

#include <array>
#include <span>

#include "nibble/graph.h"

namespace nibble {

/// One window geometry. Entries beyond `rank` are neutral (extent 1, stride 1, no padding), so that
/// loops may always run over kMinLoops axes.
struct Window {
  static constexpr int kMaxRank = Shape::kMaxRank - 2;
  using Extents = std::array<int64_t, kMaxRank>;

  int rank = 0;
  Extents input = filled(1);  // -1: not known yet; the output extent is then unknown too
  Extents kernel = filled(1);
  Extents stride = filled(1);
  Extents dilation = filled(1);
  Extents pad_begin = filled(0);
  Extents pad_end = filled(0);
  Extents output = filled(1);

  /// Extent of the dilated kernel along `axis`.
  int64_t reach(int axis) const {
    const auto i = static_cast<size_t>(axis);
    return (kernel[i] - 1) * dilation[i] + 1;
  }
  bool is_static() const;
  bool operator==(const Window&) const = default;

  static constexpr Extents filled(int64_t value) {
    Extents extents{};
    for (int64_t& extent : extents) extent = value;
    return extents;
  }
};

/// The window of a Conv or pooling node: attributes kernel_shape (else `kernel`), strides,
/// dilations, pads and auto_pad over spatial extents `input`. With `ceil_mode` a last, partial
/// window counts if it starts inside the input or the padding before it (ONNX opset 19 and
/// OpenVINO, PyTorch alike). Throws Error{invalid_model} on wrong counts or a window larger than
/// the padded input.
Window make_window(const Attributes& attributes, std::span<const int64_t> input,
                   std::span<const int64_t> kernel, bool ceil_mode = false);

/// Batch, channels and spatial extents of a shape [N,C,spatial...], or [N,spatial...,C] if
/// `channels_last`.
struct SpatialShape {
  int64_t batch = 0;
  int64_t channels = 0;
  std::array<int64_t, Window::kMaxRank> extents = Window::filled(1);
  int rank = 0;  // number of spatial axes

  SpatialShape() = default;
  /// Throws Error{invalid_model} below rank 2.
  SpatialShape(const Shape& shape, bool channels_last);
  std::span<const int64_t> spatial() const { return {extents.data(), static_cast<size_t>(rank)}; }
  int64_t positions() const;  // product of the spatial extents
};

/// The inverse: [N,C,spatial...] or [N,spatial...,C].
Shape spatial_shape(int64_t batch, int64_t channels, std::span<const int64_t> spatial,
                    bool channels_last);

}  // namespace nibble
