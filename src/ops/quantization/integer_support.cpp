#include "ops/quantization/integer_support.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "tensor/integers.h"

namespace nibble {

CodeRange code_range(const QuantParams& output, const Clamp& clamp) {
  const auto code = [&](float real) {
    const double q = std::nearbyint(real / output.scale[0]) + output.zero_point[0];
    return static_cast<int32_t>(std::clamp<double>(q, output.qmin, output.qmax));
  };
  return {code(clamp.low), code(clamp.high)};
}

std::optional<IntegerWeights> centred_weights(const KernelSpec& spec, const Tensor& codes,
                                              std::span<const int32_t> zero_points, int axis) {
  IntegerWeights weights;
  const auto is_zero = [](int32_t zero_point) { return zero_point == 0; };
  if (codes.dtype() == DType::i8 && std::ranges::all_of(zero_points, is_zero)) {
    weights.values = codes.data<int8_t>();
    return weights;
  }
  const Shape& shape = codes.shape();
  const int64_t inner = shape.elements(axis + 1, shape.rank());
  const int64_t channels = zero_points.size() == 1 ? 1 : shape[axis];
  weights.converted.resize(static_cast<size_t>(codes.elements()));
  bool fits = true;
  for_each_part(codes, [&](int64_t first, std::span<const int32_t> part) {
    int64_t channel = first / inner % channels, left = inner - first % inner;
    for (size_t i = 0; i < part.size(); ++i, --left) {
      if (left == 0) {
        left = inner;
        channel = channel + 1 == channels ? 0 : channel + 1;
      }
      const int32_t value = part[i] - zero_points[static_cast<size_t>(channel)];
      fits &= value >= -128 && value <= 127;
      weights.converted[static_cast<size_t>(first) + i] = static_cast<int8_t>(value);
    }
  });
  if (!fits) {
    spec.refuse("a weight minus its zero point does not fit int8");
    return std::nullopt;
  }
  weights.values = weights.converted;
  return weights;
}

std::optional<IntegerWeights> integer_weights(const KernelSpec& spec, int axis) {
  const QuantParams& params = *spec.grid(1);
  const bool per_tensor = params.granularity == Granularity::per_tensor;
  const bool per_channel = params.granularity == Granularity::per_channel && params.axis == axis;
  if (!per_tensor && !per_channel) {
    spec.refuse("the weight's scales are not per tensor or per output channel");
    return std::nullopt;
  }
  auto weights = centred_weights(spec, *spec.types.constant(1), params.zero_point, axis);
  if (!weights) return std::nullopt;
  const auto channels = static_cast<size_t>(spec.types.shape(1)[axis]);
  weights->scales = per_tensor ? std::vector<float>(channels, params.scale[0]) : params.scale;
  return weights;
}

std::optional<std::vector<int32_t>> integer_bias(const KernelSpec& spec,
                                                 std::span<const double> unit, float factor) {
  if (!spec.types.has(2)) return std::vector<int32_t>();
  const Tensor* data = spec.types.constant(2);
  const auto count = static_cast<int64_t>(unit.size());
  if (data == nullptr || (data->elements() != count && data->elements() != 1)) {
    spec.refuse("the bias is not a constant with one entry per output channel");
    return std::nullopt;
  }
  // Double throughout: the product of scale and code may need more than 24 bits.
  std::vector<double> reals(unit.size());
  const auto each = [&](auto&& value_at) {
    for (size_t c = 0; c < reals.size(); ++c) reals[c] = value_at(data->elements() == 1 ? 0 : c);
  };
  if (const QuantParams* quant = spec.grid(2)) {
    const std::vector<int32_t> codes = unpack_integers(*data);
    each([&](size_t i) {
      const auto group =
          static_cast<size_t>(quant_group(*quant, data->shape(), static_cast<int64_t>(i)));
      return static_cast<double>(quant->scale[group]) * (codes[i] - quant->zero_point[group]);
    });
  } else {
    const std::span<const float> values = data->data<float>();
    each([&](size_t i) { return static_cast<double>(values[i]); });
  }
  std::vector<int32_t> bias(unit.size());
  for (size_t c = 0; c < bias.size(); ++c) {
    const double q = std::nearbyint(reals[c] * factor / unit[c]);
    if (!(std::abs(q) <= std::numeric_limits<int32_t>::max())) {
      spec.refuse("the bias does not fit int32");
      return std::nullopt;
    }
    bias[c] = static_cast<int32_t>(q);
  }
  return bias;
}

OutputStage output_stage(const KernelSpec& spec, std::span<const double> unit) {
  OutputStage stage;
  const Clamp& clamp = spec.types.node.clamp;
  const QuantParams* quant = spec.output_grid();
  stage.kind = quant != nullptr ? OutputStage::Kind::codes_u8 : OutputStage::Kind::reals_f32;
  stage.min = clamp.low;
  stage.max = clamp.high;
  double out_scale = 1;
  if (quant != nullptr) {
    const CodeRange range = code_range(*quant, clamp);
    stage.zero_point = quant->zero_point[0];
    stage.qmin = range.qmin;
    stage.qmax = range.qmax;
    out_scale = quant->scale[0];
  }
  for (double u : unit) stage.multiplier.push_back(static_cast<float>(u / out_scale));
  return stage;
}

namespace {

// Padding before the input along one axis.
int64_t pad_begin(const Node& node, int axis, int64_t in, int64_t out, int64_t stride,
                  int64_t span) {
  const std::string mode = node.attributes.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    const int64_t total = std::max<int64_t>((out - 1) * stride + span - in, 0);
    return mode == "SAME_UPPER" ? total / 2 : total - total / 2;
  }
  const std::vector<int64_t> pads = node.attributes.integers("pads");
  return mode == "VALID" || pads.empty() ? 0 : pads[static_cast<size_t>(axis)];
}

}  // namespace

std::optional<ConvWindow> channels_last_window(const KernelSpec& spec,
                                               std::span<const int64_t> kernel_shape) {
  const Node& node = spec.types.node;
  const Shape& in = spec.types.shape(0);
  const Shape& out = spec.outputs[0].shape;
  const int spatial = static_cast<int>(kernel_shape.size());
  if (!node.channels_last) {
    spec.refuse("it does not run channels last");
    return std::nullopt;
  }
  if (spatial < 1 || spatial > 2 || in.rank() != spatial + 2) {
    spec.refuse("there are integer kernels for one and two spatial dimensions");
    return std::nullopt;
  }
  const std::vector<int64_t> strides = node.attributes.integers("strides");
  const std::vector<int64_t> dilations = node.attributes.integers("dilations");
  const auto at = [](const std::vector<int64_t>& list, int axis) {
    return list.empty() ? int64_t{1} : list[static_cast<size_t>(axis)];
  };
  struct Axis {
    int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad = 0;
  };
  std::array<Axis, 2> axes;  // h and w; one spatial dimension is w
  for (int i = 0; i < spatial; ++i) {
    Axis& axis = axes[static_cast<size_t>(2 - spatial + i)];
    axis = {in[i + 1],      out[i + 1],       kernel_shape[static_cast<size_t>(i)],
            at(strides, i), at(dilations, i), 0};
    const int64_t span = axis.dilation * (axis.kernel - 1) + 1;
    axis.pad = pad_begin(node, i, axis.in, axis.out, axis.stride, span);
    if (axis.pad < 0) {
      spec.refuse("it has negative padding");
      return std::nullopt;
    }
  }
  const auto& [h, w] = axes;
  return ConvWindow{.batch = in[0],
                    .in_h = h.in,
                    .in_w = w.in,
                    .kernel_h = h.kernel,
                    .kernel_w = w.kernel,
                    .stride_h = h.stride,
                    .stride_w = w.stride,
                    .dilation_h = h.dilation,
                    .dilation_w = w.dilation,
                    .pad_top = h.pad,
                    .pad_left = w.pad,
                    .out_h = h.out,
                    .out_w = w.out};
}

}  // namespace nibble
