#include "ops/image/resize_plan.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/support/axes.h"
#include "ops/support/spatial.h"
#include "tensor/memory.h"

namespace nibble {
namespace {

// Scale and target extent of every axis of the data as it lies in memory.
struct Scaling {
  std::vector<float> scale, roi_begin, roi_end;
  Shape output;
};

Scaling scaling_of(const Node& node, const Shape& shape, const ResizeInputs& inputs) {
  const int rank = shape.rank();
  std::vector<int64_t> axes = node.attributes.integers("axes");
  if (axes.empty()) {
    for (int axis = 0; axis < rank; ++axis) axes.push_back(axis);
  }
  const bool by_size = !inputs.sizes.empty();
  const size_t given = by_size ? inputs.sizes.size() : inputs.scales.size();
  if (given != axes.size()) {
    fail(ErrorCode::invalid_model, "{} scales or sizes for {} axes", given, axes.size());
  }
  Scaling s{.scale = std::vector<float>(static_cast<size_t>(rank), 1.0F),
            .roi_begin = std::vector<float>(static_cast<size_t>(rank), 0.0F),
            .roi_end = std::vector<float>(static_cast<size_t>(rank), 1.0F),
            .output = shape};
  // Lists are in the order [N,C,spatial...], whatever the layout.
  const auto physical = [&](int64_t listed) {
    const int axis = normalize_axis(listed, rank);
    if (!node.channels_last || axis == 0) return axis;
    return axis == 1 ? rank - 1 : axis - 1;
  };
  const std::string policy = node.attributes.text("keep_aspect_ratio_policy", "stretch");
  float shared = policy == "not_larger" ? INFINITY : 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const int axis = physical(axes[i]);
    const auto a = static_cast<size_t>(axis);
    if (inputs.roi.size() == 2 * axes.size()) {
      s.roi_begin[a] = inputs.roi[i];
      s.roi_end[a] = inputs.roi[axes.size() + i];
    }
    if (!by_size) {
      s.scale[a] = inputs.scales[i];
      if (!(s.scale[a] > 0)) fail(ErrorCode::invalid_model, "a scale is {}", s.scale[a]);
      if (shape[axis] >= 0) {
        s.output[axis] =
            static_cast<int64_t>(std::floor(static_cast<float>(shape[axis]) * s.scale[a]));
      }
      continue;
    }
    if (shape[axis] < 0) {
      s.output[axis] = policy == "stretch" ? inputs.sizes[i] : Shape::kUnknown;
      continue;
    }
    s.scale[a] = static_cast<float>(inputs.sizes[i]) / static_cast<float>(shape[axis]);
    s.output[axis] = inputs.sizes[i];
    shared = policy == "not_larger" ? std::min(shared, s.scale[a]) : std::max(shared, s.scale[a]);
  }
  if (!by_size || policy == "stretch") return s;
  for (int64_t listed : axes) {
    const int axis = physical(listed);
    s.scale[static_cast<size_t>(axis)] = shared;
    if (shape[axis] < 0) continue;
    s.output[axis] = static_cast<int64_t>(shared * static_cast<float>(shape[axis]) + 0.5F);
  }
  return s;
}

struct Modes {
  std::string mode, coordinates, nearest;
  float cubic_a = -0.75F;
  bool exclude_outside = false, antialias = false;
};

Modes modes_of(const Node& node, int opset) {
  Modes m;
  m.mode = node.attributes.text("mode", "nearest");
  if (m.mode == "bilinear") m.mode = "linear";
  if (m.mode != "nearest" && m.mode != "linear" && m.mode != "cubic") {
    fail(ErrorCode::unsupported, "the mode '{}' is not known", m.mode);
  }
  // Before opset 11 there was one way: asymmetric, rounded up when shrinking and else down.
  const bool old = node.op == "Upsample" || opset < 11;
  m.coordinates =
      node.attributes.text("coordinate_transformation_mode", old ? "asymmetric" : "half_pixel");
  m.nearest = node.attributes.text("nearest_mode", old ? "simple" : "round_prefer_floor");
  m.cubic_a = node.attributes.real("cubic_coeff_a", -0.75F);
  m.exclude_outside = node.attributes.integer("exclude_outside", 0) != 0;
  m.antialias = node.attributes.integer("antialias", 0) != 0;
  return m;
}

struct AxisScale {
  double in = 0, out = 0;
  double scale = 1;
  double roi_begin = 0, roi_end = 1;
};

double source_position(const Modes& modes, const AxisScale& a, int64_t j) {
  const auto x = static_cast<double>(j);
  const std::string& mode = modes.coordinates;
  if (mode == "half_pixel") return (x + 0.5) / a.scale - 0.5;
  if (mode == "pytorch_half_pixel") return a.out > 1 ? (x + 0.5) / a.scale - 0.5 : 0;
  if (mode == "asymmetric") return x / a.scale;
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5) / a.scale;
  if (mode == "align_corners") return a.out > 1 ? x * (a.in - 1) / (a.out - 1) : 0;
  if (mode == "half_pixel_symmetric") {
    const double adjustment = a.out / (a.scale * a.in);
    return a.in / 2 * (1 - adjustment) + (x + 0.5) / a.scale - 0.5;
  }
  if (mode == "tf_crop_and_resize") {
    if (a.out <= 1) return 0.5 * (a.roi_begin + a.roi_end) * (a.in - 1);
    return a.roi_begin * (a.in - 1) + x * (a.roi_end - a.roi_begin) * (a.in - 1) / (a.out - 1);
  }
  fail(ErrorCode::unsupported, "the coordinate transformation '{}' is not known", mode);
}

int64_t nearest_index(const Modes& modes, const AxisScale& a, double x) {
  const std::string& mode = modes.nearest;
  if (mode == "round_prefer_floor") return static_cast<int64_t>(std::ceil(x - 0.5));
  if (mode == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
  if (mode == "floor") return static_cast<int64_t>(std::floor(x));
  if (mode == "ceil") return static_cast<int64_t>(std::ceil(x));
  if (mode == "simple") return static_cast<int64_t>(a.scale < 1 ? std::ceil(x) : x);
  fail(ErrorCode::unsupported, "the nearest mode '{}' is not known", mode);
}

double kernel_weight(const Modes& modes, double distance) {
  const double x = std::abs(distance);
  if (modes.mode == "linear") return std::max(0.0, 1 - x);
  const double a = modes.cubic_a;  // Keys, "Cubic convolution interpolation", 1981
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

// Taps around base + (0, 1]; shrinking with antialias widens the kernel by 1 / scale.
void add_taps(const Modes& modes, const AxisScale& a, double x, AxisResize& axis) {
  const double shrink = modes.antialias ? std::min(1.0, a.scale) : 1.0;
  const double support = modes.mode == "linear" ? 1 : 2;
  const auto first = static_cast<int64_t>(std::floor(-support / shrink)) + 1;
  axis.taps = static_cast<int>(2 - 2 * first);
  const double base = std::ceil(x) - 1;
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = first; i < first + axis.taps; ++i) {
    const auto at = static_cast<int64_t>(base) + i;
    double weight = kernel_weight(modes, shrink * (base + static_cast<double>(i) - x));
    if (modes.exclude_outside && (at < 0 || at >= axis.in)) weight = 0;
    axis.index.push_back(std::clamp<int64_t>(at, 0, axis.in - 1));
    weights.push_back(weight);
    sum += weight;
  }
  const bool normalize = modes.exclude_outside || modes.antialias;
  for (double weight : weights) {
    axis.weight.push_back(static_cast<float>(normalize && sum != 0 ? weight / sum : weight));
  }
}

AxisResize resize_axis(const Modes& modes, const AxisScale& a, int axis_index) {
  AxisResize axis{
      .axis = axis_index, .in = static_cast<int64_t>(a.in), .out = static_cast<int64_t>(a.out)};
  const bool crop = modes.coordinates == "tf_crop_and_resize";
  for (int64_t j = 0; j < axis.out; ++j) {
    const double x = source_position(modes, a, j);
    if (crop) axis.outside.push_back(x < 0 || x > a.in - 1);
    if (modes.mode == "nearest") {
      axis.index.push_back(std::clamp<int64_t>(nearest_index(modes, a, x), 0, axis.in - 1));
    } else {
      add_taps(modes, a, x, axis);
    }
  }
  return axis;
}

}  // namespace

Shape resized_shape(const Node& node, const Shape& shape, const ResizeInputs& inputs) {
  return scaling_of(node, shape, inputs).output;
}

ResizePlan plan_resize(const Node& node, int opset, const Shape& shape,
                       const ResizeInputs& inputs) {
  const Scaling s = scaling_of(node, shape, inputs);
  const Modes modes = modes_of(node, opset);
  ResizePlan plan{.output = s.output,
                  .nearest = modes.mode == "nearest",
                  .extrapolation = node.attributes.real("extrapolation_value", 0)};
  if (shape.elements() == 0 && s.output.elements() != 0) {
    fail(ErrorCode::invalid_model, "cannot resize {} to {}", shape.to_string(),
         s.output.to_string());
  }
  require_memory(DType::f32, s.output);
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {  // the last first: it is the cheapest
    const auto a = static_cast<size_t>(axis);
    const bool cropped =
        modes.coordinates == "tf_crop_and_resize" && (s.roi_begin[a] != 0 || s.roi_end[a] != 1);
    if (s.output[axis] == shape[axis] && s.scale[a] == 1 && !cropped) continue;
    plan.axes.push_back(resize_axis(modes,
                                    {.in = static_cast<double>(shape[axis]),
                                     .out = static_cast<double>(s.output[axis]),
                                     .scale = s.scale[a],
                                     .roi_begin = s.roi_begin[a],
                                     .roi_end = s.roi_end[a]},
                                    axis));
  }
  return plan;
}

}  // namespace nibble
