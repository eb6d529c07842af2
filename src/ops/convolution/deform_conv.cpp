// DeformConv (opset 19): a convolution whose taps are moved by offsets that the network computes;
// Dai et al. 2017, arXiv:1703.06211, and with a mask version 2 (arXiv:1811.11168). Two spatial
// axes.
#include <array>
#include <cmath>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"
#include "ops/support/spatial.h"
#include "ops/support/weight_axes.h"

namespace nibble {
namespace {

// X [N,C,H,W], W [O,C/group,kh,kw], offset [N,2*og*kh*kw,oh,ow], B [O], mask [N,og*kh*kw,oh,ow].
struct Problem {
  int64_t batch = 0, channels = 0, outputs = 0, group = 1, offset_group = 1;
  Window window;

  int64_t taps() const { return window.kernel[0] * window.kernel[1]; }
  int64_t pixels() const { return window.output[0] * window.output[1]; }
  Shape output() const { return {batch, outputs, window.output[0], window.output[1]}; }
};

Problem problem_of(const Node& node, const Shape& data, const Shape& weight) {
  if (data.rank() != 4 || weight.rank() != 4) {
    fail(ErrorCode::unsupported, "data {} and weight {}: only two spatial axes are supported",
         data.to_string(), weight.to_string());
  }
  Problem p{.batch = data[0],
            .channels = data[1],
            .outputs = weight[0],
            .group = node.attributes.integer("group", 1),
            .offset_group = node.attributes.integer("offset_group", 1)};
  const bool divides = p.group > 0 && p.offset_group > 0 && p.outputs % p.group == 0 &&
                       (p.channels < 0 || p.channels % p.offset_group == 0);
  if (!divides || (p.channels >= 0 && p.channels != weight[1] * p.group)) {
    fail(ErrorCode::invalid_model, "the weight {} in {} groups does not fit the data {}",
         weight.to_string(), p.group, data.to_string());
  }
  p.window = make_window(node.attributes, data.dims().subspan(2), weight.dims().subspan(2));
  return p;
}

std::vector<TensorType> infer(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.shape(1).is_static()) {
    type.shape = problem_of(types.node, types.shape(0), types.shape(1)).output();
  }
  return {type};
}

void require(const Tensor& tensor, std::string_view what, const Shape& wanted) {
  if (tensor.dtype() == DType::f32 && tensor.shape() == wanted) return;
  fail(ErrorCode::invalid_model, "the {} is {}{}, expected f32{}", what, name_of(tensor.dtype()),
       tensor.shape().to_string(), wanted.to_string());
}

// Linear interpolation between the four pixels around (y, x); those outside the plane are zero.
double sample(const float* plane, int64_t height, int64_t width, double y, double x) {
  if (!(y > -1 && y < static_cast<double>(height) && x > -1 && x < static_cast<double>(width))) {
    return 0;
  }
  const double top = std::floor(y), left = std::floor(x);
  double sum = 0;
  for (int corner = 0; corner < 4; ++corner) {
    const auto row = static_cast<int64_t>(top) + corner / 2;
    const auto column = static_cast<int64_t>(left) + corner % 2;
    if (row < 0 || row >= height || column < 0 || column >= width) continue;
    sum += (1 - std::abs(y - static_cast<double>(row))) *
           (1 - std::abs(x - static_cast<double>(column))) *
           static_cast<double>(plane[row * width + column]);
  }
  return sum;
}

struct Operands {
  const float *data, *weight, *offset, *bias, *mask;
};

// One pixel of one output channel.
float value_at(const Problem& p, const Operands& in, int64_t n, int64_t output, int64_t pixel) {
  const Window& w = p.window;
  const int64_t per_group = p.channels / p.group, plane = w.input[0] * w.input[1];
  const int64_t first = output / (p.outputs / p.group) * per_group;
  double sum = in.bias == nullptr ? 0.0 : static_cast<double>(in.bias[output]);
  for (int64_t c = 0; c < per_group; ++c) {
    const int64_t group = (first + c) / (p.channels / p.offset_group);
    for (int64_t tap = 0; tap < p.taps(); ++tap) {
      const int64_t at = (n * p.offset_group + group) * p.taps() + tap;
      const std::array<int64_t, 2> k = {tap / w.kernel[1], tap % w.kernel[1]};
      const std::array<int64_t, 2> o = {pixel / w.output[1], pixel % w.output[1]};
      std::array<double, 2> position{};
      for (size_t axis = 0; axis < 2; ++axis) {
        const int64_t moved = (2 * at + static_cast<int64_t>(axis)) * p.pixels() + pixel;
        position[axis] = static_cast<double>(o[axis] * w.stride[axis] - w.pad_begin[axis] +
                                             k[axis] * w.dilation[axis]) +
                         static_cast<double>(in.offset[moved]);
      }
      const double mask =
          in.mask == nullptr ? 1.0 : static_cast<double>(in.mask[at * p.pixels() + pixel]);
      sum += static_cast<double>(in.weight[(output * per_group + c) * p.taps() + tap]) * mask *
             sample(in.data + (n * p.channels + first + c) * plane, w.input[0], w.input[1],
                    position[0], position[1]);
    }
  }
  return static_cast<float>(sum);
}

void eval(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval);
  const Problem p = problem_of(context.node, context.input(0).shape(), context.input(1).shape());
  const Shape out = p.output();
  const int64_t moves = p.offset_group * p.taps();
  require(context.input(0), "data", context.input(0).shape());
  require(context.input(1), "weight", context.input(1).shape());
  require(context.input(2), "offset", {p.batch, 2 * moves, out[2], out[3]});
  if (context.has(3)) require(context.input(3), "bias", {p.outputs});
  if (context.has(4)) require(context.input(4), "mask", {p.batch, moves, out[2], out[3]});
  const auto reals = [&](size_t i) {
    return context.has(i) ? context.input(i).data<float>().data() : nullptr;
  };
  const Operands in{reals(0), reals(1), reals(2), reals(3), reals(4)};
  float* to = context.output(0, DType::f32, out).data<float>().data();
  context.pool.parallel_ranges(out.elements(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / p.pixels();
      to[i] = value_at(p, in, plane / p.outputs, plane % p.outputs, i % p.pixels());
    }
  });
}

constexpr std::array kRows = {
    OpRow{.name = "DeformConv",
          .min_inputs = 3,
          .max_inputs = 5,
          .infer = infer,
          .eval = eval,
          .kernels = "plain loops: nothing to prepare",
          .quant = QuantRole::weighted,
          .weights = {.axes = convolution_axes, .bias = 3},
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> deform_conv_ops() { return kRows; }

}  // namespace nibble
