// BatchNormalization: y = scale * (x - mean) / sqrt(variance + epsilon) + bias, one of each for a
// channel. At inference that is y = gain * x + offset. In training mode (opset 14 on) mean and
// variance are the batch's own, and the running ones are updated: running = momentum * running + (1
// - momentum)
// * batch.
#include <array>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

/// The tensor as [batch, channels, inner], or [batch * inner, channels] channels last (inner = 1).
struct Layout {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

Layout layout_of(const Node& node, const Shape& shape) {
  if (node.channels_last) {
    const int last = shape.rank() - 1;
    return {.outer = shape.elements(0, last), .channels = shape[last], .inner = 1};
  }
  return {.outer = shape.elements(0, 1),
          .channels = shape.rank() > 1 ? shape[1] : 1,
          .inner = shape.rank() > 2 ? shape.elements(2, shape.rank()) : 1};
}

template <typename T>
struct GainOffset {
  std::vector<T> gain;
  std::vector<T> offset;
};

template <typename T>
GainOffset<T> gain_and_offset(const Tensor& scale, const Tensor& bias, std::span<const double> mean,
                              std::span<const double> variance, float epsilon) {
  GainOffset<T> result;
  for (size_t c = 0; c < mean.size(); ++c) {
    const double gain = static_cast<double>(scale.data<T>()[c]) /
                        std::sqrt(variance[c] + static_cast<double>(epsilon));
    result.gain.push_back(static_cast<T>(gain));
    result.offset.push_back(
        static_cast<T>(static_cast<double>(bias.data<T>()[c]) - mean[c] * gain));
  }
  return result;
}

template <typename T>
void apply(const T* x, T* y, const Layout& layout, const GainOffset<T>& by, ThreadPool& pool) {
  const T* gain = by.gain.data();
  const T* offset = by.offset.data();
  const int64_t channels = layout.channels;
  if (layout.inner == 1) {
    const int64_t grain = std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, channels));
    pool.parallel_ranges(layout.outer, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = x + row * channels;
        T* to = y + row * channels;
        for (int64_t c = 0; c < channels; ++c) to[c] = from[c] * gain[c] + offset[c];
      }
    });
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, layout.inner));
  pool.parallel_ranges(layout.outer * channels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const T a = gain[plane % channels];
      const T b = offset[plane % channels];
      const T* from = x + plane * layout.inner;
      T* to = y + plane * layout.inner;
      for (int64_t i = 0; i < layout.inner; ++i) to[i] = from[i] * a + b;
    }
  });
}

void require_channels(const Tensor& parameter, std::string_view name, int64_t channels) {
  if (parameter.elements() == channels) return;
  fail(ErrorCode::invalid_model, "'{}' has shape {}, but the data has {} channels", name,
       parameter.shape().to_string(), channels);
}

constexpr std::array<std::string_view, 5> kNames = {"X", "scale", "B", "mean", "var"};

/// `parameter(i)` gives input i (1 to 4).
template <typename T, typename Parameter>
GainOffset<T> inference_gain(const Node& node, int64_t channels, const Parameter& parameter) {
  for (size_t i = 1; i < kNames.size(); ++i) require_channels(parameter(i), kNames[i], channels);
  const Tensor mean = convert(parameter(3), DType::f64);
  const Tensor variance = convert(parameter(4), DType::f64);
  return gain_and_offset<T>(parameter(1), parameter(2), mean.data<double>(),
                            variance.data<double>(), node.attributes.real("epsilon", 1e-5F));
}

/// Mean and variance of each channel over the batch and all positions.
template <typename T>
void batch_statistics(const T* x, const Layout& layout, std::vector<double>& mean,
                      std::vector<double>& variance) {
  const auto channels = static_cast<size_t>(layout.channels);
  const auto sum_of = [&](std::vector<double>& sums, const auto& value) {
    sums.assign(channels, 0);
    for (int64_t i = 0; i < layout.outer * layout.channels * layout.inner; ++i) {
      const auto c = static_cast<size_t>(i / layout.inner % layout.channels);
      sums[c] += value(static_cast<double>(x[i]), c);
    }
    for (double& sum : sums) sum /= static_cast<double>(layout.outer * layout.inner);
  };
  sum_of(mean, [](double v, size_t) { return v; });
  sum_of(variance, [&](double v, size_t c) { return (v - mean[c]) * (v - mean[c]); });
}

template <typename T>
void train(EvalContext& context, const Layout& layout) {
  const Tensor& in = context.input(0);
  std::vector<double> mean;
  std::vector<double> variance;
  batch_statistics(in.data<T>().data(), layout, mean, variance);
  const double momentum = static_cast<double>(context.node.attributes.real("momentum", 0.9F));
  for (size_t output = 1; output < context.output_count() && output < 3; ++output) {
    if (!context.wants(output)) continue;
    const Tensor& running = context.input(output + 2);
    const std::vector<double>& batch = output == 1 ? mean : variance;
    Tensor& updated = context.output(output, running.dtype(), running.shape());
    for (size_t c = 0; c < batch.size(); ++c) {
      const double before = static_cast<double>(running.data<T>()[c]);
      updated.data<T>()[c] = static_cast<T>(before * momentum + batch[c] * (1 - momentum));
    }
  }
  const GainOffset<T> by = gain_and_offset<T>(context.input(1), context.input(2), mean, variance,
                                              context.node.attributes.real("epsilon", 1e-5F));
  Tensor& out = context.output(0, in.dtype(), in.shape());
  apply(in.data<T>().data(), out.data<T>().data(), layout, by, context.pool);
}

template <typename T>
void eval_as(EvalContext& context) {
  const Tensor& in = context.input(0);
  const Layout layout = layout_of(context.node, in.shape());
  if (context.opset >= 14 && context.node.attributes.integer("training_mode", 0) != 0) {
    for (size_t i = 1; i < kNames.size(); ++i) {
      require_channels(context.input(i), kNames[i], layout.channels);
    }
    return train<T>(context, layout);
  }
  const GainOffset<T> by = inference_gain<T>(
      context.node, layout.channels, [&](size_t i) -> const Tensor& { return context.input(i); });
  Tensor& out = context.output(0, in.dtype(), in.shape());
  apply(in.data<T>().data(), out.data<T>().data(), layout, by, context.pool);
}

void eval_batch_norm(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (dtype == DType::f64) return eval_as<double>(context);
  if (dtype == DType::f32) return eval_as<float>(context);
  if (is_half(dtype)) return eval_as_f32(context, eval_as<float>);
  fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
}

class BatchNormKernel : public Kernel {
 public:
  explicit BatchNormKernel(GainOffset<float> by) : by_(std::move(by)) {}

  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, DType::f32, in.shape());
    apply(in.data<float>().data(), out.data<float>().data(), layout_of(context.node, in.shape()),
          by_, context.pool);
  }
  std::string describe() const override {
    return "batch normalization f32, folded to gain and offset";
  }

 private:
  GainOffset<float> by_;
};

std::unique_ptr<Kernel> prepare_batch_norm(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.node.attributes.integer("training_mode", 0) != 0) return nullptr;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (types.input(i).dtype != DType::f32) return nullptr;
    if (i > 0 && types.constant(i) == nullptr) return nullptr;
  }
  const int64_t channels = layout_of(types.node, types.shape(0)).channels;
  return std::make_unique<BatchNormKernel>(inference_gain<float>(
      types.node, channels, [&](size_t i) -> const Tensor& { return *types.constant(i); }));
}

std::vector<TensorType> infer_batch_norm(const NodeTypes& types) {
  if (types.node.attributes.integer("spatial", 1) == 0) {
    fail(ErrorCode::unsupported, "statistics per position (spatial = 0) are not supported");
  }
  if (types.opset < 14 && types.node.outputs.size() > 1) {
    fail(ErrorCode::unsupported, "training mode before opset 14 is not supported");
  }
  for (size_t i = 1; i < types.input_count(); ++i) require_type_of_data(types, i);
  std::vector<TensorType> outputs = infer_same(types);
  for (size_t i = 1; i < types.node.outputs.size(); ++i) {
    outputs.push_back(typed(types.input(i + 2).dtype, types.shape(i + 2)));
  }
  return outputs;
}

constexpr std::array kKernels = {on_reals("batch norm on f32", prepare_batch_norm)};

constexpr std::array kRows = {
    OpRow{.name = "BatchNormalization",
          .min_inputs = 5,
          .max_inputs = 5,
          .max_outputs = 5,
          .infer = infer_batch_norm,
          .eval = eval_batch_norm,
          .kernels = kKernels,
          .why_float = "no layer before it takes it in: stays in float",
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial},
};

}  // namespace

std::span<const OpRow> batch_norm_ops() { return kRows; }

}  // namespace nibble
