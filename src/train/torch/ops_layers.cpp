// Convolutions, poolings, normalisations and dropout.
#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "train/torch/op.h"
#include "train/torch/shared_norm.h"

namespace nibble {
namespace {

using torch::Tensor;
using Outputs = std::vector<Tensor>;
using Call = TorchCall;
using Extents = std::vector<int64_t>;

Extents per_axis(const Call& call, std::string_view name, size_t axes) {
  return call.node.attributes.integers(name, Extents(axes, 1));
}

/// Geometry of a sliding window over the spatial axes of input 0.
struct Sliding {
  Extents kernel, strides, dilations;
  Extents before, after;  // padding

  Sliding(const Call& call, Extents kernel_shape) : kernel(std::move(kernel_shape)) {
    const size_t axes = kernel.size();
    strides = per_axis(call, "strides", axes);
    dilations = per_axis(call, "dilations", axes);
    const std::string mode = call.node.attributes.text("auto_pad", "NOTSET");
    const Extents pads = call.node.attributes.integers("pads", Extents(2 * axes, 0));
    for (size_t i = 0; i < axes; ++i) {
      if (mode == "NOTSET" || mode == "VALID") {
        before.push_back(mode == "VALID" ? 0 : pads[i]);
        after.push_back(mode == "VALID" ? 0 : pads[axes + i]);
        continue;
      }
      const int64_t extent = call.in(0).size(static_cast<int64_t>(i) + 2);
      const int64_t outputs = (extent + strides[i] - 1) / strides[i];
      const int64_t reach = dilations[i] * (kernel[i] - 1) + 1;
      const int64_t total = std::max<int64_t>(0, (outputs - 1) * strides[i] + reach - extent);
      before.push_back(mode == "SAME_UPPER" ? total / 2 : total - total / 2);
      after.push_back(total - before.back());
    }
  }
  bool symmetric() const { return before == after; }
  bool padded() const {
    return std::ranges::any_of(before, [](int64_t p) { return p != 0; }) || !symmetric();
  }
  Tensor pad(const Tensor& x, double value) const {
    if (!padded()) return x;
    Extents widths;  // libtorch: from the last axis on
    for (size_t i = kernel.size(); i-- > 0;) {
      widths.push_back(before[i]);
      widths.push_back(after[i]);
    }
    return torch::constant_pad_nd(x, widths, value);
  }
};

c10::optional<Tensor> optional_input(const Call& call, size_t i) {
  return call.has(i) ? c10::optional<Tensor>(call.in(i)) : c10::nullopt;
}

Outputs conv(const Call& call) {
  const Tensor& weight = call.in(1);
  const Sliding window(call, weight.sizes().slice(2).vec());
  const bool symmetric = window.symmetric();
  const Tensor x = symmetric ? call.in(0) : window.pad(call.in(0), 0);
  const Extents zeros(window.kernel.size(), 0);
  return {torch::convolution(x, weight, optional_input(call, 2), window.strides,
                             symmetric ? window.before : zeros, window.dilations, false, zeros,
                             call.node.attributes.integer("group", 1))};
}

Outputs conv_transpose(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  if (attributes.text("auto_pad", "NOTSET") != "NOTSET" || attributes.has("output_shape")) {
    fail(ErrorCode::unsupported, "training supports ConvTranspose with explicit pads only");
  }
  const Tensor& weight = call.in(1);
  const Sliding window(call, weight.sizes().slice(2).vec());
  const size_t axes = window.kernel.size();
  const Tensor whole = torch::convolution(call.in(0), weight, optional_input(call, 2),
                                          window.strides, Extents(axes, 0), window.dilations, true,
                                          attributes.integers("output_padding", Extents(axes, 0)),
                                          attributes.integer("group", 1));
  Extents cut;  // pads shorten the full result
  for (size_t i = axes; i-- > 0;) {
    cut.push_back(-window.before[i]);
    cut.push_back(-window.after[i]);
  }
  return {torch::constant_pad_nd(whole, cut, 0)};
}

Tensor average(const Tensor& x, const Sliding& w, bool ceil) {
  switch (w.kernel.size()) {
    case 1:
      return torch::avg_pool1d(x, w.kernel, w.strides, {0}, ceil);
    case 2:
      return torch::avg_pool2d(x, w.kernel, w.strides, {0, 0}, ceil);
    default:
      return torch::avg_pool3d(x, w.kernel, w.strides, {0, 0, 0}, ceil);
  }
}

void require_pooling_rank(const Sliding& window) {
  if (window.kernel.empty() || window.kernel.size() > 3) {
    fail(ErrorCode::unsupported, "training pools over 1 to 3 axes, not {}", window.kernel.size());
  }
}

Outputs average_pool(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  const Sliding window(call, attributes.integers("kernel_shape"));
  require_pooling_rank(window);
  if (std::ranges::any_of(window.dilations, [](int64_t d) { return d != 1; })) {
    fail(ErrorCode::unsupported, "training does not support a dilated AveragePool");
  }
  const bool ceil = attributes.integer("ceil_mode", 0) != 0;
  const Tensor mean = average(window.pad(call.in(0), 0), window, ceil);
  if (!window.padded() || attributes.integer("count_include_pad", 0) != 0) return {mean};
  const Tensor ones = torch::ones_like(call.in(0).slice(0, 0, 1).slice(1, 0, 1));
  return {mean / average(window.pad(ones, 0), window, ceil)};
}

Outputs max_pool(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  const Sliding w(call, attributes.integers("kernel_shape"));
  require_pooling_rank(w);
  const bool ceil = attributes.integer("ceil_mode", 0) != 0;
  const Tensor x = w.pad(call.in(0), -std::numeric_limits<double>::infinity());
  switch (w.kernel.size()) {
    case 1:
      return {torch::max_pool1d(x, w.kernel, w.strides, {0}, w.dilations, ceil)};
    case 2:
      return {torch::max_pool2d(x, w.kernel, w.strides, {0, 0}, w.dilations, ceil)};
    default:
      return {torch::max_pool3d(x, w.kernel, w.strides, {0, 0, 0}, w.dilations, ceil)};
  }
}

Extents spatial_axes(const Tensor& x) {
  Extents axes;
  for (int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

Outputs global_average_pool(const Call& call) {
  return {call.in(0).mean(spatial_axes(call.in(0)), true)};
}

Outputs global_max_pool(const Call& call) {
  return {call.in(0).amax(spatial_axes(call.in(0)), true)};
}

// ONNX's momentum is the share of the old value that stays, libtorch's the share of the new one.
// Running statistics are updated in place.
Outputs batch_normalization(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  if (attributes.integer("training_mode", 0) != 0) {
    fail(ErrorCode::unsupported, "training has no BatchNormalization that gives its statistics");
  }
  const double new_share = 1.0 - attributes.real("momentum", 0.9F);
  const double epsilon = attributes.real("epsilon", 1e-5F);
  if (call.mode.training && call.mode.among.ranks != nullptr) {
    return {shared_batch_norm(call.in(0), call.in(1), call.in(2), call.in(3), call.in(4), new_share,
                              epsilon, *call.mode.among.ranks)};
  }
  return {torch::batch_norm(call.in(0), call.in(1), call.in(2), call.in(3), call.in(4),
                            call.mode.training, new_share, epsilon, false)};
}

Outputs layer_normalization(const Call& call) {
  const Tensor& x = call.in(0);
  const Extents shape = x.sizes().slice(static_cast<size_t>(call.axis("axis", -1))).vec();
  const auto sized = [&](const Tensor& t) { return t.expand(shape); };
  c10::optional<Tensor> bias;
  if (call.has(2)) bias = sized(call.in(2));
  return {torch::layer_norm(x, shape, sized(call.in(1)), bias,
                            call.node.attributes.real("epsilon", 1e-5F))};
}

Outputs rms_normalization(const Call& call) {
  const Tensor& x = call.in(0);
  Extents axes;
  for (int64_t axis = call.axis("axis", -1); axis < x.dim(); ++axis) axes.push_back(axis);
  const float epsilon = call.node.attributes.real("epsilon", 1e-5F);
  return {x * (x.square().mean(axes, true) + epsilon).rsqrt() * call.in(1)};
}

Outputs lp_normalization(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t axis = call.axis("axis", -1);
  const bool l1 = call.node.attributes.integer("p", 2) == 1;
  return {x / (l1 ? x.abs().sum(axis, true) : x.square().sum(axis, true).sqrt())};
}

// The epsilon of ONNX's reference.
Outputs mean_variance_normalization(const Call& call) {
  const Tensor& x = call.in(0);
  const Extents axes = call.node.attributes.integers("axes", {0, 2, 3});
  const Tensor centred = x - x.mean(axes, true);
  return {centred / (centred.square().mean(axes, true).sqrt() + 1e-9)};
}

// y = x / (bias + alpha / size * sum of squares over `size` channels around it) ^ beta.
Outputs local_response_normalization(const Call& call) {
  const Attributes& attributes = call.node.attributes;
  const Tensor& x = call.in(0);
  const int64_t size = attributes.required_integer("size");
  Extents widths(static_cast<size_t>(2 * (x.dim() - 2)), 0);  // libtorch: from the last axis on
  widths.push_back((size - 1) / 2);
  widths.push_back(size / 2);
  const Tensor squares = torch::constant_pad_nd(x.square(), widths, 0);
  Tensor sum = squares.narrow(1, 0, x.size(1));
  for (int64_t i = 1; i < size; ++i) sum = sum + squares.narrow(1, i, x.size(1));
  const double alpha = attributes.real("alpha", 1e-4F) / static_cast<double>(size);
  return {x / (attributes.real("bias", 1) + alpha * sum).pow(attributes.real("beta", 0.75F))};
}

Outputs instance_normalization(const Call& call) {
  return {torch::instance_norm(call.in(0), call.in(1), call.in(2), {}, {}, true, 0.0,
                               call.node.attributes.real("epsilon", 1e-5F), false)};
}

Outputs group_normalization(const Call& call) {
  const Tensor& x = call.in(0);
  const int64_t groups = call.node.attributes.required_integer("num_groups");
  // Before opset 21, scale and bias have an entry per group, not per channel.
  const auto per_channel = [&](const Tensor& t) {
    return t.size(0) == x.size(1) ? t : t.repeat_interleave(x.size(1) / groups);
  };
  return {torch::group_norm(x, groups, per_channel(call.in(1)), per_channel(call.in(2)),
                            call.node.attributes.real("epsilon", 1e-5F))};
}

// The mask depends on the seed alone, so that training resumes with the same masks.
Outputs dropout(const Call& call) {
  const Tensor& x = call.in(0);
  double ratio = call.node.attributes.real("ratio", 0.5F);
  if (call.has(1)) ratio = call.in(1).item<double>();
  if (!call.mode.training || ratio <= 0) return {x};
  torch::Generator generator = at::detail::createCPUGenerator(call.mode.seed);
  // That of the samples of all ranks, and of it what is this rank's.
  const AmongRanks& among = call.mode.among;
  Extents extents = x.sizes().vec();
  const bool shared = among.ranks != nullptr && x.dim() > 0 && extents[0] % among.own == 0;
  const int64_t rows = shared ? extents[0] / among.own : 0;  // of a sample
  if (shared) extents[0] = among.all * rows;
  Tensor keep = torch::empty(extents, torch::kFloat).bernoulli_(1 - ratio, generator);
  if (shared) keep = keep.narrow(0, among.before * rows, among.own * rows);
  return {x * keep.to(x.device()) / (1 - ratio)};
}

constexpr std::array kRows = {
    TorchOpRow{"AveragePool", average_pool},
    TorchOpRow{"BatchNormalization", batch_normalization},
    TorchOpRow{"Conv", conv},
    TorchOpRow{"ConvTranspose", conv_transpose},
    TorchOpRow{"Dropout", dropout},
    TorchOpRow{"GlobalAveragePool", global_average_pool},
    TorchOpRow{"GlobalMaxPool", global_max_pool},
    TorchOpRow{"GroupNormalization", group_normalization},
    TorchOpRow{"InstanceNormalization", instance_normalization},
    TorchOpRow{"LRN", local_response_normalization},
    TorchOpRow{"LayerNormalization", layer_normalization},
    TorchOpRow{"LpNormalization", lp_normalization, kSingular},
    TorchOpRow{"MaxPool", max_pool},
    TorchOpRow{"MeanVarianceNormalization", mean_variance_normalization, kSingular},
    TorchOpRow{"RMSNormalization", rms_normalization},
};

}  // namespace

std::span<const TorchOpRow> torch_layer_ops() { return kRows; }

}  // namespace nibble
