// A transposed convolution as convolutions: the outputs o = r + s q of one remainder r by the
// stride s meet those taps t for which r + pad - t d is a multiple of s, at input
//
//   q + (r + pad - t d) / s
//
// The taps that fit are evenly spaced, so each remainder is a convolution of stride 1 with some of
// the taps, in reverse order. Their results are woven into the output, pixel by pixel.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "ops/convolution/conv.h"
#include "ops/convolution/conv_transpose.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/support/onednn.h"

namespace nibble {
namespace {

// One axis of one remainder.
struct PhaseAxis {
  int64_t first = 0;          // output of q = 0
  int64_t stride = 1;         // outputs from q to q + 1
  int64_t count = 0;          // values of q
  std::vector<int64_t> taps;  // in the order of the convolution; none fits: empty
  int64_t dilation = 1;
  int64_t pad = 0;   // before the input
  int64_t skip = 0;  // results of the convolution that lie before q = 0
  int64_t rest = 0;  // and behind the last q: oneDNN computes them all

  int64_t kernel() const { return std::max<int64_t>(1, std::ssize(taps)); }
  int64_t results() const { return skip + count + rest; }
};

PhaseAxis phase_axis(const Window& w, size_t axis, int64_t remainder) {
  const int64_t stride = w.stride[axis], dilation = w.dilation[axis];
  PhaseAxis phase{.first = remainder,
                  .stride = stride,
                  .count = (w.input[axis] - remainder + stride - 1) / stride,
                  .dilation = dilation / std::gcd(stride, dilation)};
  int64_t least = 0;  // input that the first tap meets at q = 0
  for (int64_t t = w.kernel[axis]; t-- > 0;) {
    const int64_t at = remainder + w.pad_begin[axis] - t * dilation;
    if (at % stride != 0) continue;
    if (phase.taps.empty()) least = at / stride;
    phase.taps.push_back(t);
  }
  phase.pad = std::max<int64_t>(0, -least);
  phase.skip = std::max<int64_t>(0, least);
  const int64_t all = w.output[axis] + phase.pad - phase.dilation * (phase.kernel() - 1);
  phase.rest = std::max<int64_t>(0, all - phase.skip - phase.count);
  return phase;
}

// A convolution, and where its results go.
struct Phase {
  std::array<PhaseAxis, 2> axes;  // h and w; one spatial axis is w
  Node node;
  Shape weight, output;
};

// How to make the kernel of one phase.
using Make = std::unique_ptr<Kernel> (*)(const KernelSpec&, const Phase&);

class WovenConv : public Kernel {
 public:
  struct Part {
    Phase phase;
    std::unique_ptr<Kernel> kernel;
  };
  WovenConv(std::vector<Part> parts, const ConvTransposeProblem& problem, const TensorType& output,
            int opset)
      : parts_(std::move(parts)),
        batch_(problem.x.batch),
        dtype_(output.dtype),
        shape_(output.shape),
        opset_(opset) {
    const auto rank = shape_.rank();
    width_ = shape_[rank - 2];
    height_ = rank == 4 ? shape_[1] : 1;
    pixel_bytes_ = static_cast<size_t>(shape_[rank - 1]) * static_cast<size_t>(bits_of(dtype_)) / 8;
    for (const Part& part : parts_) {
      result_bytes_ = std::max(
          result_bytes_, onednn::aligned(storage_bytes(dtype_, part.phase.output.elements())));
    }
  }

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, dtype_, shape_);
    for (const Part& part : parts_) run_part(part, context, out);
  }
  size_t workspace_bytes() const override {
    size_t most = 0;
    for (const Part& part : parts_) most = std::max(most, part.kernel->workspace_bytes());
    return result_bytes_ + most;
  }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const Part& part : parts_) bytes += part.kernel->constant_bytes();
    return bytes;
  }
  DType multiplies() const override { return parts_[0].kernel->multiplies(); }
  std::string describe() const override {
    return fmt::format("transposed, {} of {}", parts_.size(), parts_[0].kernel->describe());
  }

 private:
  void run_part(const Part& part, EvalContext& context, Tensor& out) const {
    auto* memory = static_cast<std::byte*>(context.workspace);
    std::array<Tensor, 1> inputs = {context.input(0)};
    std::array<Tensor, 1> outputs = {Tensor::borrow(dtype_, part.phase.output, memory)};
    EvalContext inner(part.phase.node, opset_, inputs, outputs, context.pool);
    inner.workspace = memory + result_bytes_;
    part.kernel->run(inner);
    weave(part.phase, memory, static_cast<std::byte*>(out.raw()), context.pool);
  }

  void weave(const Phase& phase, const std::byte* from, std::byte* to, ThreadPool& pool) const {
    const auto& [h, w] = phase.axes;
    pool.parallel_ranges(batch_ * h.count, 4, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        const int64_t image = line / h.count, q = line % h.count;
        const int64_t row = image * h.results() + q + h.skip;
        const int64_t target = image * height_ + h.first + q * h.stride;
        const std::byte* source =
            from + static_cast<size_t>(row * w.results() + w.skip) * pixel_bytes_;
        std::byte* pixel = to + static_cast<size_t>(target * width_ + w.first) * pixel_bytes_;
        for (int64_t x = 0; x < w.count; ++x) {
          std::memcpy(pixel, source, pixel_bytes_);
          source += pixel_bytes_;
          pixel += static_cast<size_t>(w.stride) * pixel_bytes_;
        }
      }
    });
  }

  std::vector<Part> parts_;
  int64_t batch_, height_ = 1, width_ = 1;
  DType dtype_;
  Shape shape_;
  int opset_;
  size_t pixel_bytes_ = 0, result_bytes_ = 0;
};

Phase make_phase(const KernelSpec& spec, const ConvTransposeProblem& problem,
                 const std::array<PhaseAxis, 2>& axes) {
  Phase phase{.axes = axes};
  const Node& node = spec.types.node;
  phase.node = {.op = "Conv", .name = node.name};
  phase.node.clamp = node.clamp;
  phase.node.channels_last = true;
  phase.node.attributes.set("group", problem.group);
  std::vector<int64_t> dilations, pads;
  phase.weight = {problem.out_channels, problem.x.channels / problem.group};
  phase.output = {problem.x.batch};
  for (size_t i = 2 - static_cast<size_t>(problem.window.rank); i < 2; ++i) {
    dilations.push_back(axes[i].dilation);
    pads.push_back(axes[i].pad);
    phase.weight.push_back(axes[i].kernel());
    phase.output.push_back(axes[i].results());
  }
  pads.resize(2 * pads.size(), 0);
  phase.output.push_back(problem.out_channels);
  phase.node.attributes.set("dilations", std::move(dilations));
  phase.node.attributes.set("pads", std::move(pads));
  return phase;
}

// Calls visit(element of the phase's weight, element of the node's weight); where no tap fits, the
// latter is -1.
template <typename Visit>
void each_weight(const Phase& phase, const Shape& weight, int64_t group, const Visit& visit) {
  const int64_t outputs = weight[1], inputs = weight[0] / group;
  const int64_t kernel_w = weight[weight.rank() - 1];
  const int64_t taps = weight.elements(2, weight.rank());
  const auto& [h, w] = phase.axes;
  int64_t to = 0;
  for (int64_t o = 0; o < outputs * group; ++o) {
    for (int64_t i = 0; i < inputs; ++i) {
      const int64_t from = ((o / outputs * inputs + i) * outputs + o % outputs) * taps;
      for (int64_t y = 0; y < h.kernel(); ++y) {
        for (int64_t x = 0; x < w.kernel(); ++x, ++to) {
          const bool fits = !h.taps.empty() && !w.taps.empty();
          visit(to, fits ? from + h.taps[static_cast<size_t>(y)] * kernel_w +
                               w.taps[static_cast<size_t>(x)]
                         : int64_t{-1});
        }
      }
    }
  }
}

// The grid of a phase's weight; nullopt if its scales lie along the input channels of groups.
std::optional<QuantParams> phase_grid(const QuantParams& grid, const Phase& phase,
                                      const Shape& weight, int64_t group) {
  if (grid.granularity == Granularity::per_tensor) return grid;
  const bool by_output = grid.granularity == Granularity::per_channel && grid.axis == 1;
  const int64_t inputs = weight[0] / group;
  if (!by_output) {
    const bool blocks = grid.granularity == Granularity::per_block && grid.axis == 0 &&
                        (group == 1 || inputs % grid.block_size == 0);
    if (!blocks) return std::nullopt;
  }
  QuantParams result = grid;
  result.axis = by_output ? 0 : 1;
  const auto groups = static_cast<size_t>(quant_groups(result, phase.weight));
  result.scale.assign(groups, 1);
  result.zero_point.assign(groups, 0);
  each_weight(phase, weight, group, [&](int64_t to, int64_t from) {
    // Without a tap: any element of the same channels.
    const int64_t outputs = weight[1], taps = weight.elements(2, weight.rank());
    const int64_t o = to / phase.weight.elements(1, phase.weight.rank());
    const int64_t i = to / phase.weight.elements(2, phase.weight.rank()) % inputs;
    const int64_t source =
        from >= 0 ? from : ((o / outputs * inputs + i) * outputs + o % outputs) * taps;
    const auto at = static_cast<size_t>(quant_group(result, phase.weight, to));
    const auto source_at = static_cast<size_t>(quant_group(grid, weight, source));
    result.scale[at] = grid.scale[source_at];
    result.zero_point[at] = grid.zero_point[source_at];
  });
  return result;
}

// A kernel of Conv on codes or on packed weights, for one phase.
template <std::unique_ptr<Kernel> (*make_conv)(const KernelSpec&)>
std::unique_ptr<Kernel> quantized_phase(const KernelSpec& spec, const Phase& phase) {
  const NodeTypes& types = spec.types;
  const int64_t group = phase.node.attributes.integer("group", 1);
  const auto grid = phase_grid(*spec.grid(1), phase, types.shape(1), group);
  if (!grid) return spec.refuse("the weight's scales lie along its input channels");
  const std::vector<int32_t> all = unpack_integers(*types.constant(1));
  std::vector<int32_t> codes(static_cast<size_t>(phase.weight.elements()));
  each_weight(phase, types.shape(1), group, [&](int64_t to, int64_t from) {
    const auto zero = static_cast<size_t>(quant_group(*grid, phase.weight, to));
    codes[static_cast<size_t>(to)] =
        from < 0 ? grid->zero_point[zero] : all[static_cast<size_t>(from)];
  });
  std::vector<TensorType> inputs = {types.input(0),
                                    {.dtype = grid->storage, .shape = phase.weight}};
  std::vector<Tensor> constants = {Tensor(), pack_integers(grid->storage, phase.weight, codes)};
  std::vector<Form> forms = {spec.input_forms[0], Form::packed(*grid)};
  if (types.has(2)) {
    inputs.push_back(types.input(2));
    constants.push_back(*types.constant(2));
    forms.push_back(spec.input_forms[2]);
  }
  const NodeTypes inner(phase.node, types.opset, inputs, constants);
  std::vector<TensorType> outputs = {spec.outputs[0]};
  outputs[0].shape = phase.output;
  return make_conv({.types = inner,
                    .outputs = outputs,
                    .input_forms = forms,
                    .output_forms = spec.output_forms,
                    .why_not = spec.why_not});
}

std::unique_ptr<Kernel> float_phase(const KernelSpec& spec, const Phase& phase) {
  const NodeTypes& types = spec.types;
  const Tensor& all = *types.constant(1);
  const int64_t group = phase.node.attributes.integer("group", 1);
  Tensor weight(DType::f32, phase.weight);
  const std::span<const float> from_data = all.data<float>();
  const std::span<float> to_data = weight.data<float>();
  each_weight(phase, all.shape(), group, [&](int64_t to, int64_t from) {
    to_data[static_cast<size_t>(to)] = from < 0 ? 0 : from_data[static_cast<size_t>(from)];
  });
  const SpatialShape in(types.shape(0), true);
  ConvProblem problem{.batch = in.batch,
                      .in_channels = in.channels,
                      .out_channels = phase.weight[0],
                      .group = group,
                      .bias = types.has(2),
                      .channels_last = true,
                      .clamp = types.node.clamp};
  Window& w = problem.window;
  w.rank = in.rank;
  for (size_t i = 0; i < static_cast<size_t>(in.rank); ++i) {
    const PhaseAxis& axis = phase.axes[i + 2 - static_cast<size_t>(in.rank)];
    w.input[i] = in.extents[i];
    w.kernel[i] = axis.kernel();
    w.dilation[i] = axis.dilation;
    w.pad_begin[i] = axis.pad;
    w.output[i] = axis.results();
    w.pad_end[i] = w.output[i] - 1 + w.reach(static_cast<int>(i)) - w.input[i] - w.pad_begin[i];
  }
  return make_conv_kernel(problem, &weight, types.constant(2));
}

std::unique_ptr<Kernel> make_woven(const KernelSpec& spec, Make make) {
  const NodeTypes& types = spec.types;
  if (!types.node.channels_last) return spec.refuse("it does not run channels last");
  if (types.constant(1) == nullptr) return spec.refuse("its weight is computed while running");
  if (types.has(2) && types.constant(2) == nullptr) {
    return spec.refuse("its bias is computed while running");
  }
  const ConvTransposeProblem problem =
      conv_transpose_problem(types.node, types.shape(0), types.shape(1));
  const int rank = problem.window.rank;
  if (rank < 1 || rank > 2) {
    return spec.refuse("there are kernels for one and two spatial dimensions");
  }
  if (problem.output.elements() == 0 || types.shape(0).elements() == 0 ||
      types.shape(1).elements() == 0 || problem.x.channels % problem.group != 0) {
    return spec.refuse("there is nothing to compute");
  }
  if (types.has(2) && types.shape(2).elements() != problem.out_channels) {
    return spec.refuse("the bias is not one number per output channel");
  }
  const auto axis_of = [&](size_t i, int64_t remainder) {  // i: of h and w
    if (i + static_cast<size_t>(rank) < 2) return PhaseAxis{.count = 1, .taps = {0}};
    return phase_axis(problem.window, i + static_cast<size_t>(rank) - 2, remainder);
  };
  const auto stride_of = [&](size_t i) { return axis_of(i, 0).stride; };
  std::vector<WovenConv::Part> parts;
  for (int64_t y = 0; y < stride_of(0); ++y) {
    for (int64_t x = 0; x < stride_of(1); ++x) {
      const std::array axes = {axis_of(0, y), axis_of(1, x)};
      if (axes[0].count <= 0 || axes[1].count <= 0) continue;
      WovenConv::Part part{make_phase(spec, problem, axes), nullptr};
      part.kernel = make(spec, part.phase);
      if (!part.kernel) return nullptr;
      parts.push_back(std::move(part));
    }
  }
  return std::make_unique<WovenConv>(std::move(parts), problem, spec.outputs[0], types.opset);
}

}  // namespace

std::unique_ptr<Kernel> integer_conv_transpose(const KernelSpec& spec) {
  return make_woven(spec, quantized_phase<integer_conv>);
}

std::unique_ptr<Kernel> packed_conv_transpose(const KernelSpec& spec) {
  if (spec.types.input(0).dtype != DType::f32) return spec.refuse("its data are not f32");
  return make_woven(spec, quantized_phase<packed_conv>);
}

std::unique_ptr<Kernel> float_conv_transpose(const KernelSpec& spec) {
  for (size_t i = 0; i < spec.types.input_count(); ++i) {
    if (spec.types.has(i) && spec.types.input(i).dtype != DType::f32) {
      return spec.refuse("its operands are not f32");
    }
  }
  return make_woven(spec, float_phase);
}

}  // namespace nibble
