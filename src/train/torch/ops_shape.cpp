// Operators that move or repeat elements, and those that compute shapes (whose integer tensors stay
// on the CPU).
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "train/torch/op.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;
using Extents = std::vector<int64_t>;

Outputs cast(const Call& call) {
  constexpr int64_t kFloat = 1, kInt32 = 6, kInt64 = 7, kBool = 9, kFloat16 = 10, kDouble = 11;
  switch (call.node.attributes.required_integer("to")) {
    case kFloat:
    case kFloat16:
      return {call.in(0).to(torch::kFloat)};
    case kDouble:
      return {call.in(0).to(torch::kDouble)};
    case kInt32:
    case kInt64:
      return {call.in(0).to(torch::kLong)};
    case kBool:
      return {call.in(0).to(torch::kBool)};
    default:
      fail(ErrorCode::unsupported, "training casts to float, double, int64 and bool only");
  }
}

Outputs cast_like(const Call& call) { return {call.in(0).to(call.in(1).scalar_type())}; }

Outputs concat(const Call& call) { return {torch::cat(call.inputs(), call.axis("axis", 0))}; }

Outputs constant(const Call& call) {
  const Attribute* value = call.node.attributes.find("value");
  const auto* tensor = value != nullptr ? std::get_if<nibble::Tensor>(value) : nullptr;
  if (tensor == nullptr) fail(ErrorCode::unsupported, "training needs the attribute 'value'");
  return {to_torch(*tensor)};
}

Outputs constant_of_shape(const Call& call) {
  const Attribute* value = call.node.attributes.find("value");
  const auto* tensor = value != nullptr ? std::get_if<nibble::Tensor>(value) : nullptr;
  const Tensor fill = tensor != nullptr ? to_torch(*tensor).reshape({}) : torch::zeros({});
  return {fill.expand(call.integers(0)).contiguous()};
}

Outputs depth_to_space(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t block = call.node.attributes.required_integer("blocksize");
  const int64_t n = x.size(0), c = x.size(1) / (block * block), h = x.size(2), w = x.size(3);
  const bool crd = call.node.attributes.text("mode", "DCR") == "CRD";
  const Tensor split = crd ? x.reshape({n, c, block, block, h, w}).permute({0, 1, 4, 2, 5, 3})
                           : x.reshape({n, block, block, c, h, w}).permute({0, 3, 4, 1, 5, 2});
  return {split.reshape({n, c, h * block, w * block})};
}

// Broadcasting works both ways: a target extent of 1 keeps the input's.
Outputs expand(const Call& call) {
  return {call.in(0) * torch::ones(call.integers(1), call.in(0).options())};
}

Outputs flatten(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", 1);
  int64_t rows = 1;
  for (int64_t i = 0; i < axis; ++i) rows *= x.size(i);
  return {x.reshape({rows, x.numel() / std::max<int64_t>(rows, 1)})};
}

Outputs space_to_depth(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t block = call.node.attributes.required_integer("blocksize");
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / block, w = x.size(3) / block;
  return {x.reshape({n, c, h, block, w, block})
              .permute({0, 3, 5, 1, 2, 4})
              .reshape({n, c * block * block, h, w})};
}

Outputs identity(const Call& call) { return {call.in(0)}; }

/// Where position `at` of an axis of `extent`, perhaps beyond its ends, takes its element from.
int64_t padded_from(const std::string& mode, int64_t at, int64_t extent) {
  if (mode == "edge") return std::clamp<int64_t>(at, 0, extent - 1);
  if (mode == "wrap") return ((at % extent) + extent) % extent;
  if (mode != "reflect") fail(ErrorCode::unsupported, "training has no Pad with mode '{}'", mode);
  const int64_t period = std::max<int64_t>(2 * (extent - 1), 1);
  const int64_t within = ((at % period) + period) % period;
  return std::min(within, period - within);
}

// Pads before and after each axis of `x`, from input 1 on the axes of input 3.
Extents pads_of(const Call& call) {
  const auto rank = static_cast<size_t>(call.in(0).dim());
  const Extents given = call.attribute_or_input("pads", 1);
  if (!call.has(3)) return given;
  const Extents axes = call.integers(3);
  Extents pads(2 * rank, 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis =
        static_cast<size_t>(axes[i] < 0 ? axes[i] + static_cast<int64_t>(rank) : axes[i]);
    pads.at(axis) = given.at(i);
    pads.at(rank + axis) = given.at(axes.size() + i);
  }
  return pads;
}

Outputs pad(const Call& call) {
  Tensor x = call.in(0);
  const auto rank = static_cast<size_t>(x.dim());
  const Extents pads = pads_of(call);
  double value = call.node.attributes.real("value", 0);
  if (call.has(2)) value = call.in(2).item<double>();
  const std::string mode = call.node.attributes.text("mode", "constant");
  if (mode == "constant") {
    Extents widths;  // libtorch: from the last axis on
    for (size_t i = rank; i-- > 0;) {
      widths.push_back(pads[i]);
      widths.push_back(pads[rank + i]);
    }
    return {torch::constant_pad_nd(x, widths, value)};
  }
  for (size_t axis = 0; axis < rank; ++axis) {
    if (pads[axis] == 0 && pads[rank + axis] == 0) continue;
    const int64_t extent = x.size(static_cast<int64_t>(axis));
    Extents from;
    for (int64_t at = -pads[axis]; at < extent + pads[rank + axis]; ++at) {
      from.push_back(padded_from(mode, at, extent));
    }
    x = x.index_select(static_cast<int64_t>(axis), torch::tensor(from).to(x.device()));
  }
  return {x};
}

Outputs reshape(const Call& call) {
  const Tensor& x = call.in(0);
  Extents shape = call.attribute_or_input("shape", 1);
  if (call.node.attributes.integer("allowzero", 0) == 0) {
    for (size_t i = 0; i < shape.size(); ++i) {
      if (shape[i] == 0) shape[i] = x.size(static_cast<int64_t>(i));
    }
  }
  return {x.reshape(shape)};
}

/// Positions in an axis of `extent` that `count` outputs are taken from, as ONNX Resize defines
/// coordinate_transformation_mode.
std::vector<double> source_positions(const std::string& mode, int64_t extent, int64_t count,
                                     double scale) {
  std::vector<double> positions;
  for (int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<double>(i);
    if (mode == "asymmetric") {
      positions.push_back(x / scale);
    } else if (mode == "align_corners") {
      positions.push_back(
          count == 1 ? 0 : x * static_cast<double>(extent - 1) / static_cast<double>(count - 1));
    } else if (mode == "half_pixel" || (mode == "pytorch_half_pixel" && count > 1)) {
      positions.push_back((x + 0.5) / scale - 0.5);
    } else if (mode == "pytorch_half_pixel") {
      positions.push_back(0);
    } else {
      fail(ErrorCode::unsupported, "training has no coordinate_transformation_mode '{}'", mode);
    }
  }
  return positions;
}

double nearest(const std::string& mode, double position) {
  if (mode == "floor") return std::floor(position);
  if (mode == "ceil") return std::ceil(position);
  if (mode == "round_prefer_ceil") return std::floor(position + 0.5);
  return std::ceil(position - 0.5);
}

/// Samples `x` along `axis` at `positions`, clamped to it; linearly, or at the position itself.
Tensor sample(const Tensor& x, int64_t axis, const std::vector<double>& positions, bool linear) {
  const double last = static_cast<double>(x.size(axis)) - 1;
  Extents low, high;
  std::vector<float> weight;
  for (double position : positions) {
    const double clamped = std::clamp(position, 0.0, last);
    low.push_back(static_cast<int64_t>(std::floor(clamped)));
    high.push_back(std::min<int64_t>(low.back() + 1, static_cast<int64_t>(last)));
    weight.push_back(static_cast<float>(clamped - std::floor(clamped)));
  }
  const auto index = [&](const Extents& at) { return torch::tensor(at).to(x.device()); };
  const Tensor below = x.index_select(axis, index(low));
  if (!linear) return below;
  Extents shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis)] = static_cast<int64_t>(weight.size());
  const Tensor share = torch::tensor(weight).reshape(shape).to(x.device());
  return below + (x.index_select(axis, index(high)) - below) * share;
}

// Resize (opset 10 on) and its forerunner Upsample: nearest and (bi)linear.
Outputs resize(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  Tensor x = call.in(0);
  const std::string mode = attributes.text("mode", "nearest");
  if (mode == "cubic" || attributes.integer("antialias", 0) != 0 || attributes.has("axes")) {
    fail(ErrorCode::unsupported, "training supports Resize nearest and linear over all axes only");
  }
  const bool old = call.node.op == "Upsample" || call.opset < 11;
  const std::string coordinates =
      old ? "asymmetric" : attributes.text("coordinate_transformation_mode", "half_pixel");
  const std::string rounding =
      old ? "floor" : attributes.text("nearest_mode", "round_prefer_floor");
  const size_t scales_input = old ? 1 : 2;
  std::vector<float> scales = attributes.reals("scales");
  if (call.has(scales_input) && call.in(scales_input).numel() > 0) {
    const Tensor given = call.in(scales_input).to(torch::kCPU, torch::kFloat).contiguous();
    scales.assign(given.data_ptr<float>(), given.data_ptr<float>() + given.numel());
  }
  const Extents sizes = scales.empty() ? call.integers(3) : Extents();
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const auto i = static_cast<size_t>(axis);
    const auto extent = static_cast<double>(x.size(axis));
    const int64_t count =
        sizes.empty() ? static_cast<int64_t>(std::floor(extent * scales.at(i))) : sizes.at(i);
    if (count == x.size(axis)) continue;
    const double scale = sizes.empty() ? scales[i] : static_cast<double>(count) / extent;
    std::vector<double> positions = source_positions(coordinates, x.size(axis), count, scale);
    if (mode == "nearest") {
      for (double& position : positions) position = nearest(rounding, position);
    }
    x = sample(x, axis, positions, mode == "linear");
  }
  return {x};
}

Outputs shape(const Call& call) {
  const Extents sizes = call.in(0).sizes().vec();
  const auto rank = static_cast<int64_t>(sizes.size());
  const auto bound = [&](std::string_view name, int64_t fallback) {
    const int64_t at = call.node.attributes.integer(name, fallback);
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t begin = bound("start", 0);
  const int64_t end = std::max(begin, bound("end", rank));
  return {torch::tensor(Extents(sizes.begin() + begin, sizes.begin() + end), torch::kLong)};
}

Outputs split(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", 0);
  const Extents sizes = call.attribute_or_input("split", 1);
  if (!sizes.empty()) return x.split_with_sizes(sizes, axis);
  const auto parts = static_cast<int64_t>(call.node.outputs.size());
  return x.split((x.size(axis) + parts - 1) / parts, axis);
}

Outputs squeeze(const Call& call) {
  const Tensor& x = call.in(0);
  Extents axes = call.attribute_or_input("axes", 1);
  if (axes.empty()) return {x.squeeze()};
  for (int64_t& axis : axes) axis = axis < 0 ? axis + x.dim() : axis;
  std::ranges::sort(axes, std::greater());
  Tensor result = x;
  for (int64_t axis : axes) result = result.squeeze(axis);
  return {result};
}

Outputs tile(const Call& call) { return {call.in(0).repeat(call.integers(1))}; }

Outputs transpose(const Call& call) {
  Extents order = call.node.attributes.integers("perm");
  if (!call.node.attributes.has("perm")) {
    for (int64_t i = call.in(0).dim(); i-- > 0;) order.push_back(i);
  }
  return {call.in(0).permute(order)};
}

Outputs unsqueeze(const Call& call) {
  const Tensor& x = call.in(0);
  Extents axes = call.attribute_or_input("axes", 1);
  const int64_t rank = x.dim() + static_cast<int64_t>(axes.size());
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  std::ranges::sort(axes);
  Tensor result = x;
  for (int64_t axis : axes) result = result.unsqueeze(axis);
  return {result};
}

constexpr std::array kRows = {
    TorchOpRow{"Cast", cast},
    TorchOpRow{"CastLike", cast_like},
    TorchOpRow{"Concat", concat},
    TorchOpRow{"Constant", constant},
    TorchOpRow{"ConstantOfShape", constant_of_shape},
    TorchOpRow{"DepthToSpace", depth_to_space},
    TorchOpRow{"Expand", expand},
    TorchOpRow{"Flatten", flatten},
    TorchOpRow{"Identity", identity},
    TorchOpRow{"Pad", pad},
    TorchOpRow{"Reshape", reshape},
    TorchOpRow{"Resize", resize},
    TorchOpRow{"Shape", shape},
    TorchOpRow{"SpaceToDepth", space_to_depth},
    TorchOpRow{"Split", split},
    TorchOpRow{"Squeeze", squeeze},
    TorchOpRow{"Tile", tile},
    TorchOpRow{"Transpose", transpose},
    TorchOpRow{"Unsqueeze", unsqueeze},
    TorchOpRow{"Upsample", resize},
};

}  // namespace

std::span<const TorchOpRow> torch_shape_ops() { return kRows; }

}  // namespace nibble
