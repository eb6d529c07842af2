// ConvTranspose: each input element adds its weighted kernel to the output.
#include "ops/convolution/conv_transpose.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ops/families.h"
#include "ops/movement/transpose.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/float_eval.h"
#include "ops/support/spatial.h"

namespace nibble {
namespace {

int64_t entry(const std::vector<int64_t>& list, size_t i, int64_t fallback) {
  return i < list.size() ? list[i] : fallback;
}

// Output extent and padding along one axis: ONNX ConvTranspose, output_shape and auto_pad forms.
void place(const Attributes& attributes, Window& w, size_t i, int64_t in) {
  const int64_t extra = entry(attributes.integers("output_padding"), i, 0);
  const int64_t full = w.stride[i] * (in - 1) + extra + w.reach(static_cast<int>(i));
  const std::vector<int64_t> wanted = attributes.integers("output_shape");
  const std::string auto_pad = attributes.text("auto_pad", "NOTSET");
  const bool same = auto_pad.starts_with("SAME");
  w.output[i] = in;
  if (wanted.empty() && !same) {
    const std::vector<int64_t> pads =
        auto_pad == "VALID" ? std::vector<int64_t>() : attributes.integers("pads");
    w.pad_begin[i] = entry(pads, i, 0);
    w.pad_end[i] = entry(pads, i + static_cast<size_t>(w.rank), 0);
    w.input[i] = full - w.pad_begin[i] - w.pad_end[i];
    return;
  }
  // output_shape may list batch and channels too.
  const size_t skip = wanted.size() > static_cast<size_t>(w.rank) ? 2 : 0;
  w.input[i] = wanted.empty() ? in * w.stride[i] : entry(wanted, i + skip, 0);
  const int64_t total = std::max<int64_t>(0, full - w.input[i]);
  w.pad_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
  w.pad_end[i] = total - w.pad_begin[i];
}

void take(const Attributes& attributes, std::string_view name, Window::Extents& out, int rank) {
  const std::vector<int64_t> values = attributes.integers(name);
  if (values.empty()) return;
  if (static_cast<int>(values.size()) != rank ||
      std::ranges::any_of(values, [](int64_t v) { return v < 1; })) {
    fail(ErrorCode::invalid_model, "attribute {} must have {} entries of at least 1", name, rank);
  }
  std::ranges::copy(values, out.begin());
}

}  // namespace

ConvTransposeProblem conv_transpose_problem(const Node& node, const Shape& data,
                                            const Shape& weight) {
  ConvTransposeProblem problem;
  problem.channels_last = node.channels_last;
  problem.x = SpatialShape(data, node.channels_last);
  if (weight.rank() != data.rank()) {
    fail(ErrorCode::invalid_model, "the weight {} and the data {} differ in rank",
         weight.to_string(), data.to_string());
  }
  problem.group = node.attributes.integer("group", 1);
  const int64_t channels = problem.x.channels;
  if (channels >= 0 && weight[0] >= 0 && channels != weight[0]) {
    fail(ErrorCode::invalid_model, "the data {} has {} channels, the weight {} takes {}",
         data.to_string(), channels, weight.to_string(), weight[0]);
  }
  if (problem.group < 1 || (weight[0] >= 0 && weight[0] % problem.group != 0)) {
    fail(ErrorCode::invalid_model, "the weight {} cannot be split into {} groups",
         weight.to_string(), problem.group);
  }
  problem.out_channels = weight[1] < 0 ? weight[1] : weight[1] * problem.group;
  Window& w = problem.window;
  w.rank = problem.x.rank;
  for (int i = 0; i < w.rank; ++i) w.kernel[static_cast<size_t>(i)] = weight[i + 2];
  take(node.attributes, "strides", w.stride, w.rank);
  take(node.attributes, "dilations", w.dilation, w.rank);
  Window::Extents extents = Window::filled(Shape::kUnknown);
  for (int i = 0; i < w.rank; ++i) {
    const auto a = static_cast<size_t>(i);
    const int64_t in = problem.x.extents[a];
    if (in < 0 || w.kernel[a] < 0) continue;
    place(node.attributes, w, a, in);
    if (w.input[a] < 0) fail(ErrorCode::invalid_model, "the padding is larger than the output");
    extents[a] = w.input[a];
  }
  problem.output =
      spatial_shape(problem.x.batch, problem.out_channels,
                    {extents.data(), static_cast<size_t>(w.rank)}, problem.channels_last);
  return problem;
}

namespace {

std::vector<TensorType> infer(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.shape(1).has_rank()) {
    type.shape = conv_transpose_problem(types.node, types.shape(0), types.shape(1)).output;
  }
  return {type};
}

// Adds in[position] * kernel to one output plane, for all positions of one input plane.
template <typename T>
void scatter_plane(const Window& w, const T* in, const T* kernel, T* out, int axis = 0) {
  const auto a = static_cast<size_t>(axis);
  int64_t in_step = 1, kernel_step = 1, out_step = 1;
  for (int i = axis + 1; i < w.rank; ++i) {
    in_step *= w.output[static_cast<size_t>(i)];
    kernel_step *= w.kernel[static_cast<size_t>(i)];
    out_step *= w.input[static_cast<size_t>(i)];
  }
  for (int64_t t = 0; t < w.kernel[a]; ++t) {
    const int64_t shift = t * w.dilation[a] - w.pad_begin[a];
    for (int64_t p = 0; p < w.output[a]; ++p) {
      const int64_t at = p * w.stride[a] + shift;
      if (at < 0 || at >= w.input[a]) continue;
      if (axis + 1 == w.rank) {
        out[at] += in[p] * kernel[t];
      } else {
        scatter_plane(w, in + p * in_step, kernel + t * kernel_step, out + at * out_step, axis + 1);
      }
    }
  }
}

template <typename T>
void run(EvalContext& context) {
  const ConvTransposeProblem problem =
      conv_transpose_problem(context.node, context.input(0).shape(), context.input(1).shape());
  if (context.has(2) && context.input(2).elements() != problem.out_channels) {
    fail(ErrorCode::invalid_model, "the bias {} does not fit {} output channels",
         context.input(2).shape().to_string(), problem.out_channels);
  }
  const T* in = context.input(0).data<T>().data();
  const T* weight = context.input(1).data<T>().data();
  const T* bias = context.has(2) ? context.input(2).data<T>().data() : nullptr;
  T* out = context.output(0, dtype_of<T>(), problem.output).template data<T>().data();
  const Window& w = problem.window;
  int64_t taps = 1, out_plane = 1;
  for (size_t i = 0; i < static_cast<size_t>(w.rank); ++i) {
    taps *= w.kernel[i];
    out_plane *= w.input[i];
  }
  const int64_t in_plane = problem.x.positions();
  const int64_t in_group = problem.x.channels / problem.group;
  const int64_t out_group = problem.out_channels / problem.group;
  context.pool.parallel_for(problem.x.batch * problem.out_channels, [&](int64_t plane) {
    const int64_t image = plane / problem.out_channels;
    const int64_t channel = plane % problem.out_channels;
    T* to = out + plane * out_plane;
    std::fill_n(to, out_plane, bias == nullptr ? T{} : bias[channel]);
    for (int64_t i = 0; i < in_group; ++i) {
      const int64_t from = channel / out_group * in_group + i;
      scatter_plane(w, in + (image * problem.x.channels + from) * in_plane,
                    weight + (from * out_group + channel % out_group) * taps, to);
    }
    const Clamp& clamp = context.node.clamp;
    for (int64_t i = 0; clamp.any() && i < out_plane; ++i) {
      to[i] = static_cast<T>(clamp(static_cast<float>(to[i])));
    }
  });
}

void eval(EvalContext& context);

// The loops run channels first.
void eval_channels_last(EvalContext& context) {
  Node node = context.node;
  node.channels_last = false;
  std::vector<Tensor> inputs = {with_channels(context.input(0), false, context.pool),
                                context.input(1)};
  if (context.has(2)) inputs.push_back(context.input(2));
  std::vector<Tensor> outputs(1);
  EvalContext inner(node, context.opset, inputs, outputs, context.pool);
  eval(inner);
  context.set_output(0, with_channels(outputs[0], true, context.pool));
}

void eval(EvalContext& context) {
  if (context.node.channels_last) return eval_channels_last(context);
  switch (context.input(0).dtype()) {
    case DType::f32:
      return run<float>(context);
    case DType::f64:
      return run<double>(context);
    default:
      return eval_as_f32(context, eval);
  }
}

WeightAxes axes(const Node& node, const Shape&) {
  return {.output = 1, .reduction = 0, .groups = node.attributes.integer("group", 1)};
}

constexpr std::array kKernels = {
    KernelRow{.name = "transposed conv on u8 codes",
              .reads = {Reads::u8, Reads::weight, Reads::parameter},
              .gives = Gives::u8_or_real,
              .make = integer_conv_transpose},
    on_packed_weights("transposed conv with packed weights", packed_conv_transpose),
    on_reals("transposed conv on f32", float_conv_transpose),
};

constexpr std::array kRows = {
    OpRow{.name = "ConvTranspose",
          .min_inputs = 2,
          .max_inputs = 3,
          .infer = infer,
          .eval = eval,
          .kernels = kKernels,
          .quant = QuantRole::weighted,
          .weights = {.axes = axes, .bias = 2},
          .takes_clamp = true,
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> conv_transpose_ops() { return kRows; }

}  // namespace nibble
