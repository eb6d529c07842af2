#include "ops/support/spatial.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace nibble {
namespace {

// No arithmetic of a few extents below this overflows.
constexpr int64_t kMostExtent = int64_t{1} << 30;

void require_extents(const Window& window) {
  const auto fits = [](int64_t v) { return v <= kMostExtent && v >= -kMostExtent; };
  for (const auto* list : {&window.input, &window.kernel, &window.stride, &window.dilation,
                           &window.pad_begin, &window.pad_end}) {
    for (int64_t entry : *list) {
      if (!fits(entry)) {
        fail(ErrorCode::invalid_model, "a window has an extent, stride or padding of {}", entry);
      }
    }
  }
}

void take(const Attributes& attributes, std::string_view name, int rank, Window::Extents& out) {
  const std::vector<int64_t> values = attributes.integers(name);
  if (values.empty()) return;
  if (static_cast<int>(values.size()) != rank) {
    fail(ErrorCode::invalid_model, "attribute {} has {} entries, expected {}", name, values.size(),
         rank);
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 1) {
      fail(ErrorCode::invalid_model, "attribute {} has the entry {}, expected at least 1", name,
           values[i]);
    }
    out[i] = values[i];
  }
}

void take_pads(const Attributes& attributes, Window& window) {
  const std::vector<int64_t> pads = attributes.integers("pads");
  if (pads.empty()) return;
  const auto rank = static_cast<size_t>(window.rank);
  if (pads.size() != 2 * rank) {
    fail(ErrorCode::invalid_model, "attribute pads has {} entries, expected {}", pads.size(),
         2 * rank);
  }
  for (size_t i = 0; i < rank; ++i) {
    window.pad_begin[i] = pads[i];
    window.pad_end[i] = pads[rank + i];
  }
}

// SAME_UPPER and SAME_LOWER: ceil(input / stride) windows, the odd pixel of padding at the end or
// at the beginning.
void pad_same(Window& window, size_t i, bool lower) {
  window.output[i] = (window.input[i] + window.stride[i] - 1) / window.stride[i];
  const int64_t covered =
      (window.output[i] - 1) * window.stride[i] + window.reach(static_cast<int>(i));
  const int64_t total = std::max<int64_t>(0, covered - window.input[i]);
  window.pad_begin[i] = lower ? total - total / 2 : total / 2;
  window.pad_end[i] = total - window.pad_begin[i];
}

int64_t count_windows(const Window& window, size_t i, bool ceil_mode) {
  const int64_t slack =
      window.input[i] + window.pad_begin[i] + window.pad_end[i] - window.reach(static_cast<int>(i));
  if (slack < 0) {
    if (window.input[i] == 0) return 0;
    fail(ErrorCode::invalid_model,
         "a window of {} does not fit into an extent of {} with padding {} and {}",
         window.reach(static_cast<int>(i)), window.input[i], window.pad_begin[i],
         window.pad_end[i]);
  }
  const int64_t stride = window.stride[i];
  if (!ceil_mode) return slack / stride + 1;
  int64_t count = (slack + stride - 1) / stride + 1;
  if ((count - 1) * stride >= window.input[i] + window.pad_begin[i]) --count;
  return count;
}

}  // namespace

bool Window::is_static() const {
  return std::ranges::all_of(output, [](int64_t extent) { return extent >= 0; });
}

Window make_window(const Attributes& attributes, std::span<const int64_t> input,
                   std::span<const int64_t> kernel, bool ceil_mode) {
  Window window;
  window.rank = static_cast<int>(input.size());
  std::ranges::copy(input, window.input.begin());
  if (!kernel.empty()) {
    check(kernel.size() == input.size(), "make_window: kernel and input of different rank");
    std::ranges::copy(kernel, window.kernel.begin());
  }
  take(attributes, "kernel_shape", window.rank, window.kernel);
  take(attributes, "strides", window.rank, window.stride);
  take(attributes, "dilations", window.rank, window.dilation);
  const std::string auto_pad = attributes.text("auto_pad", "NOTSET");
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (!same && auto_pad != "NOTSET" && auto_pad != "VALID" && !auto_pad.empty()) {
    fail(ErrorCode::invalid_model, "attribute auto_pad is '{}'", auto_pad);
  }
  if (auto_pad == "NOTSET" || auto_pad.empty()) take_pads(attributes, window);
  require_extents(window);
  for (size_t i = 0; i < input.size(); ++i) {
    if (window.input[i] < 0 || window.kernel[i] < 0) {
      window.output[i] = Shape::kUnknown;
    } else if (same) {
      pad_same(window, i, auto_pad == "SAME_LOWER");
    } else {
      window.output[i] = count_windows(window, i, ceil_mode);
    }
  }
  return window;
}

SpatialShape::SpatialShape(const Shape& shape, bool channels_last) {
  if (shape.rank() < 2) {
    fail(ErrorCode::invalid_model, "the data {} has no batch and channel axes", shape.to_string());
  }
  rank = shape.rank() - 2;
  batch = shape[0];
  channels = shape[channels_last ? shape.rank() - 1 : 1];
  const int first = channels_last ? 1 : 2;
  for (int i = 0; i < rank; ++i) extents[static_cast<size_t>(i)] = shape[first + i];
}

int64_t SpatialShape::positions() const {
  int64_t product = 1;
  for (int64_t extent : spatial()) product *= extent;
  return product;
}

Shape spatial_shape(int64_t batch, int64_t channels, std::span<const int64_t> spatial,
                    bool channels_last) {
  Shape shape{batch};
  if (!channels_last) shape.push_back(channels);
  for (int64_t extent : spatial) shape.push_back(extent);
  if (channels_last) shape.push_back(channels);
  return shape;
}

}  // namespace nibble
