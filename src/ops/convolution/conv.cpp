#include "ops/convolution/conv.h"

#include <array>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/kernel_cache.h"
#include "ops/support/reference.h"
#include "ops/support/weight_axes.h"

namespace nibble {

Shape ConvProblem::output_shape() const {
  return spatial_shape(batch, out_channels,
                       std::span(window.output.data(), static_cast<size_t>(window.rank)),
                       channels_last);
}

int64_t ConvProblem::macs() const {
  int64_t macs = batch * out_channels * (in_channels / group);
  for (size_t i = 0; i < static_cast<size_t>(window.rank); ++i) {
    macs *= window.output[i] * window.kernel[i];
  }
  return macs;
}

ConvProblem conv_problem(const Node& node, const Shape& data, const Shape& weight, bool bias) {
  const bool channels_last = node.channels_last;
  const SpatialShape x(data, channels_last);
  if (weight.rank() != data.rank()) {
    fail(ErrorCode::invalid_model, "the weight {} and the data {} differ in rank",
         weight.to_string(), data.to_string());
  }
  ConvProblem problem;
  problem.batch = x.batch;
  problem.in_channels = x.channels;
  problem.out_channels = weight[0];
  problem.group = node.attributes.integer("group", 1);
  problem.bias = bias;
  problem.channels_last = channels_last;
  problem.clamp = node.clamp;
  if (problem.group < 1 || (weight[0] >= 0 && weight[0] % problem.group != 0)) {
    fail(ErrorCode::invalid_model, "the weight {} cannot be split into {} groups",
         weight.to_string(), problem.group);
  }
  if (x.channels >= 0 && weight[1] >= 0 && x.channels != weight[1] * problem.group) {
    fail(ErrorCode::invalid_model,
         "the data {} has {} channels, the weight {} in {} groups takes {}", data.to_string(),
         x.channels, weight.to_string(), problem.group, weight[1] * problem.group);
  }
  const std::span<const int64_t> kernel = weight.dims().subspan(2);
  problem.window = make_window(node.attributes, x.spatial(), kernel);
  for (size_t i = 0; i < kernel.size(); ++i) {
    if (kernel[i] >= 0 && kernel[i] != problem.window.kernel[i]) {
      fail(ErrorCode::invalid_model, "the weight {} contradicts attribute kernel_shape",
           weight.to_string());
    }
  }
  return problem;
}

namespace {

std::vector<TensorType> infer_conv(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.has(2) && types.shape(2).is_static() && types.shape(1).has_rank() &&
      types.shape(1).rank() > 0 && types.shape(1)[0] >= 0 &&
      types.shape(2).elements() != types.shape(1)[0]) {
    fail(ErrorCode::invalid_model, "the bias {} does not fit the weight {}",
         types.shape(2).to_string(), types.shape(1).to_string());
  }
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    type.shape = conv_problem(types.node, types.shape(0), types.shape(1), false).output_shape();
  } else if (types.shape(0).has_rank()) {
    for (type.shape = Shape{}; type.shape.rank() < types.shape(0).rank();) {
      type.shape.push_back(Shape::kUnknown);
    }
    if (type.shape.rank() > 0) type.shape[0] = types.shape(0)[0];
  }
  return {type};
}

template <typename T>
void eval_plain(const ConvProblem& problem, EvalContext& context) {
  Tensor& out = context.output(0, dtype_of<T>(), problem.output_shape());
  reference_conv<T>(problem, context.input(0).data<T>(), context.input(1).data<T>(),
                    problem.bias ? context.input(2).data<T>() : std::span<const T>(),
                    out.data<T>());
}

void eval_conv(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (is_half(dtype)) return eval_as_f32(context, eval_conv);
  const ConvProblem problem = conv_problem(context.node, context.input(0).shape(),
                                           context.input(1).shape(), context.has(2));
  if (context.has(2) && context.input(2).elements() != problem.out_channels) {
    fail(ErrorCode::invalid_model, "the bias {} does not fit {} output channels",
         context.input(2).shape().to_string(), problem.out_channels);
  }
  if (context.input(1).dtype() != dtype || (problem.bias && context.input(2).dtype() != dtype)) {
    fail(ErrorCode::invalid_model, "the data is {}, but the weight or the bias is not",
         name_of(dtype));
  }
  if (dtype == DType::f64) return eval_plain<double>(problem, context);
  thread_local KernelCache<ConvProblem> cache;
  const Kernel* kernel =
      cache.find_or_make(problem, [&] { return make_conv_kernel(problem, nullptr, nullptr); });
  if (kernel == nullptr) return eval_plain<float>(problem, context);
  run_with_workspace(*kernel, context);
}

std::unique_ptr<Kernel> prepare_conv(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.input(0).dtype != DType::f32 || !types.shape(0).is_static() ||
      !types.shape(1).is_static()) {
    return nullptr;
  }
  return make_conv_kernel(conv_problem(types.node, types.shape(0), types.shape(1), types.has(2)),
                          types.constant(1), types.constant(2));
}

constexpr std::array kKernels = {
    KernelRow{.name = "conv on u8 codes",
              .reads = {Reads::u8, Reads::weight, Reads::parameter},
              .gives = Gives::u8_or_real,
              .make = integer_conv},
    on_packed_weights("conv with packed weights", packed_conv),
    on_reals("conv on f32", prepare_conv),
};

constexpr std::array kRows = {
    OpRow{.name = "Conv",
          .min_inputs = 2,
          .max_inputs = 3,
          .infer = infer_conv,
          .eval = eval_conv,
          .kernels = kKernels,
          .quant = QuantRole::weighted,
          .weights = {.axes = convolution_axes, .bias = 2},
          .takes_clamp = true,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> conv_ops() { return kRows; }

}  // namespace nibble
