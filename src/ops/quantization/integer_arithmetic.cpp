// Operators that are integer arithmetic by definition: ConvInteger, MatMulInteger, QLinearConv,
// QLinearMatMul. Operands are widened to 16 bits less their zero points; sums are int32 and exact.
#include <array>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "ops/convolution/conv.h"
#include "ops/families.h"
#include "ops/matmul/matmul.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"
#include "ops/support/weight_axes.h"

namespace nibble {
namespace {

// 255 * 255 * this is below 2^31.
constexpr int64_t kMaxDepth = 33025;

/// Refuses sums that may leave int32: `depth` products of operands within 255, in each of
/// `channels`, where sum_of(c) is the sum of the magnitudes of a channel's weights. `bias` may be
/// empty.
template <typename SumOf>
void require_room(int64_t depth, int64_t channels, const Tensor& bias, const SumOf& sum_of) {
  if (depth <= kMaxDepth && bias.empty()) return;
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t start =
        bias.empty() ? 0 : std::abs(int64_t{bias.data<int32_t>()[static_cast<size_t>(c)]});
    if (start + 255 * sum_of(c) <= INT32_MAX) continue;
    fail(ErrorCode::unsupported,
         "{} products of 8 bits{} may overflow 32 bits with the weights of output channel {}",
         depth, start == 0 ? "" : fmt::format(" and a bias of {}", start), c);
  }
}

int64_t sum_of_magnitudes(std::span<const int16_t> weights) {
  int64_t sum = 0;
  for (const int16_t weight : weights) sum += std::abs(weight);
  return sum;
}

void require_8_bits(DType dtype) {
  if (dtype == DType::u8 || dtype == DType::i8) return;
  fail(ErrorCode::unsupported, "an operand of element type {} is not supported, only u8 and i8",
       name_of(dtype));
}

/// q - zero_point. `zero_point` (may be empty: 0) has one value, or one for each of [outer, count,
/// inner]'s `count`.
std::vector<int16_t> centred(const Tensor& codes, const Tensor& zero_point, int64_t count,
                             int64_t inner) {
  require_8_bits(codes.dtype());
  std::vector<int16_t> result(static_cast<size_t>(codes.elements()));
  std::vector<int32_t> zero = {0};
  if (!zero_point.empty()) zero = unpack_integers(zero_point);
  const auto zeros = static_cast<int64_t>(zero.size());
  if (zeros != 1 && zeros != count) {
    fail(ErrorCode::invalid_model, "a zero point of shape {} does not fit {} channels",
         zero_point.shape().to_string(), count);
  }
  const std::vector<int32_t> q = unpack_integers(codes);
  for (size_t i = 0; i < q.size(); ++i) {
    const int64_t channel = zeros == 1 ? 0 : static_cast<int64_t>(i) / inner % count;
    result[i] = static_cast<int16_t>(q[i] - zero[static_cast<size_t>(channel)]);
  }
  return result;
}

Tensor optional_input(const EvalContext& context, size_t i) {
  return context.has(i) ? context.input(i) : Tensor();
}

/// Requantization, by the numeric contract: clamp(round_half_to_even(float(sum) * multiplier) +
/// zero).
struct OutputStage {
  std::vector<float> multiplier;  // one, or one per output channel
  float zero = 0;
  float lowest = 0;
  float highest = 255;

  /// `x_scale` (one value), `w_scale`, `y_scale` and `y_zero_point` as the node has them.
  OutputStage(const Tensor& x_scale, const Tensor& w_scale, const Tensor& y_scale,
              const Tensor& y_zero_point) {
    if (x_scale.elements() != 1 || y_scale.elements() != 1 || y_zero_point.elements() != 1) {
      fail(ErrorCode::unsupported, "scales per row of data or result are not supported");
    }
    require_8_bits(y_zero_point.dtype());
    const double in = convert(x_scale, DType::f64).data<double>()[0];
    const double out = convert(y_scale, DType::f64).data<double>()[0];
    const Tensor weights = convert(w_scale, DType::f64);
    for (double scale : weights.data<double>()) {
      multiplier.push_back(static_cast<float>(in * scale / out));
    }
    zero = static_cast<float>(unpack_integers(y_zero_point)[0]);
    lowest = static_cast<float>(lowest_of(y_zero_point.dtype()));
    highest = static_cast<float>(highest_of(y_zero_point.dtype()));
  }

  /// The code of `sum` as a byte of the output's type, for channel `c`.
  uint8_t operator()(int32_t sum, int64_t c) const {
    const float by = multiplier[multiplier.size() == 1 ? 0 : static_cast<size_t>(c)];
    const float code = std::nearbyint(static_cast<float>(sum) * by) + zero;
    return static_cast<uint8_t>(
        static_cast<int32_t>(code < lowest ? lowest : (code > highest ? highest : code)));
  }
};

// ---- Convolution ----

/// One output row (the last spatial axis) gains the products of one row of the kernel.
void add_kernel_row(const int16_t* x, const int16_t* w, int32_t* sums, const Window& window,
                    size_t last) {
  for (int64_t k = 0; k < window.kernel[last]; ++k) {
    const int64_t shift = k * window.dilation[last] - window.pad_begin[last];
    const int64_t stride = window.stride[last];
    // Outputs whose input position o * stride + shift is inside [0, input).
    const int64_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    const int64_t room = window.input[last] - shift;
    const int64_t end = room <= 0 ? 0 : std::min(window.output[last], (room + stride - 1) / stride);
    const int32_t weight = w[k];
    if (stride == 1) {
      for (int64_t o = begin; o < end; ++o) sums[o] += weight * x[o + shift];
    } else {
      for (int64_t o = begin; o < end; ++o) sums[o] += weight * x[o * stride + shift];
    }
  }
}

/// Where row `kernel_row` of the kernel reads the image for output row `output_row` (rows number
/// all spatial axes but the last); -1 if that is in the padding.
int64_t input_row(const Window& window, int64_t output_row, int64_t kernel_row) {
  int64_t row = 0;
  int64_t step = 1;
  for (int axis = window.rank - 2; axis >= 0; --axis) {
    const auto a = static_cast<size_t>(axis);
    const int64_t at = output_row % window.output[a] * window.stride[a] +
                       kernel_row % window.kernel[a] * window.dilation[a] - window.pad_begin[a];
    if (at < 0 || at >= window.input[a]) return -1;
    row += at * step;
    step *= window.input[a];
    output_row /= window.output[a];
    kernel_row /= window.kernel[a];
  }
  return row;
}

int64_t product(const Window::Extents& extents, int rank) {
  int64_t result = 1;
  for (int axis = 0; axis < rank; ++axis) result *= extents[static_cast<size_t>(axis)];
  return result;
}

/// Sums of one output plane (image n, channel o).
void conv_plane(const ConvProblem& problem, const int16_t* image, const int16_t* weight,
                int32_t* sums) {
  const Window& window = problem.window;
  const auto last = static_cast<size_t>(window.rank - 1);
  const int64_t output_rows = product(window.output, window.rank - 1);
  const int64_t kernel_rows = product(window.kernel, window.rank - 1);
  const int64_t plane = product(window.input, window.rank);
  const int64_t channels = problem.in_channels / problem.group;
  for (int64_t row = 0; row < output_rows; ++row) {
    for (int64_t k = 0; k < kernel_rows; ++k) {
      const int64_t from = input_row(window, row, k);
      if (from < 0) continue;
      for (int64_t c = 0; c < channels; ++c) {
        add_kernel_row(image + c * plane + from * window.input[last],
                       weight + (c * kernel_rows + k) * window.kernel[last],
                       sums + row * window.output[last], window, last);
      }
    }
  }
}

/// Calls finish(plane, channel, sums) for each plane of the result, after adding the bias.
template <typename Finish>
void convolve(EvalContext& context, const ConvProblem& problem, const std::vector<int16_t>& x,
              const std::vector<int16_t>& w, const Tensor& bias, const Finish& finish) {
  const int64_t depth =
      problem.in_channels / problem.group * product(problem.window.kernel, problem.window.rank);
  require_room(depth, problem.out_channels, bias, [&](int64_t o) {
    return sum_of_magnitudes(
        std::span(w).subspan(static_cast<size_t>(o * depth), static_cast<size_t>(depth)));
  });
  const int64_t in_plane = product(problem.window.input, problem.window.rank);
  const int64_t out_plane = product(problem.window.output, problem.window.rank);
  const int64_t per_group = problem.out_channels / problem.group;
  const int64_t planes = problem.batch * problem.out_channels;
  context.pool.parallel_ranges(planes, 1, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(out_plane));
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / problem.out_channels;
      const int64_t o = plane % problem.out_channels;
      const int64_t first_channel = o / per_group * (problem.in_channels / problem.group);
      std::fill(sums.begin(), sums.end(),
                bias.empty() ? 0 : bias.data<int32_t>()[static_cast<size_t>(o)]);
      conv_plane(problem, x.data() + (n * problem.in_channels + first_channel) * in_plane,
                 w.data() + o * depth, sums.data());
      finish(plane * out_plane, o, sums);
    }
  });
}

void eval_conv_integer(EvalContext& context) {
  const Shape& weight = context.input(1).shape();
  const ConvProblem problem = conv_problem(context.node, context.input(0).shape(), weight, false);
  const auto x = centred(context.input(0), optional_input(context, 2), 1, 1);
  const auto w = centred(context.input(1), optional_input(context, 3), weight[0],
                         weight.elements(1, weight.rank()));
  Tensor& out = context.output(0, DType::i32, problem.output_shape());
  int32_t* y = out.data<int32_t>().data();
  convolve(context, problem, x, w, Tensor(),
           [&](int64_t at, int64_t, const std::vector<int32_t>& sums) {
             std::copy(sums.begin(), sums.end(), y + at);
           });
}

void require_bias(const Tensor& bias, const ConvProblem& problem) {
  if (bias.empty() || bias.elements() == problem.out_channels) return;
  fail(ErrorCode::invalid_model, "the bias {} does not fit {} output channels",
       bias.shape().to_string(), problem.out_channels);
}

// x, x_scale, x_zero_point, w, w_scale, w_zero_point, y_scale, y_zero_point, B
void eval_qlinear_conv(EvalContext& context) {
  const Shape& weight = context.input(3).shape();
  const Tensor bias = optional_input(context, 8);
  const ConvProblem problem =
      conv_problem(context.node, context.input(0).shape(), weight, !bias.empty());
  const auto x = centred(context.input(0), context.input(2), 1, 1);
  const auto w =
      centred(context.input(3), context.input(5), weight[0], weight.elements(1, weight.rank()));
  require_bias(bias, problem);
  const OutputStage stage(context.input(1), context.input(4), context.input(6), context.input(7));
  if (stage.multiplier.size() != 1 &&
      static_cast<int64_t>(stage.multiplier.size()) != problem.out_channels) {
    fail(ErrorCode::invalid_model, "{} weight scales do not fit {} output channels",
         stage.multiplier.size(), problem.out_channels);
  }
  Tensor& out = context.output(0, context.input(7).dtype(), problem.output_shape());
  auto* y = static_cast<uint8_t*>(out.raw());
  convolve(context, problem, x, w, bias,
           [&](int64_t at, int64_t channel, const std::vector<int32_t>& sums) {
             for (size_t i = 0; i < sums.size(); ++i) {
               y[at + static_cast<int64_t>(i)] = stage(sums[i], channel);
             }
           });
}

// ---- Matrix product ----

/// Zero points of the left operand stand for rows, those of the right for columns.
std::vector<int16_t> centred_rows(const Tensor& codes, const Tensor& zero_point) {
  const Shape& shape = codes.shape();
  const int rank = shape.rank();
  return centred(codes, zero_point, rank > 1 ? shape[rank - 2] : 1, rank > 0 ? shape[rank - 1] : 1);
}
std::vector<int16_t> centred_columns(const Tensor& codes, const Tensor& zero_point) {
  const Shape& shape = codes.shape();
  return centred(codes, zero_point, shape.rank() > 0 ? shape[shape.rank() - 1] : 1, 1);
}

/// Calls finish(first element, sums) for each row of the result.
template <typename Finish>
void multiply(EvalContext& context, const MatmulProblem& problem, const std::vector<int16_t>& a,
              const std::vector<int16_t>& b, const Finish& finish) {
  const MatrixShape& m = problem.matrix;
  const auto batches = static_cast<int64_t>(problem.batch.size());
  require_room(m.depth, batches * m.columns, Tensor(), [&](int64_t c) {
    const int16_t* column =
        b.data() + problem.batch[static_cast<size_t>(c / m.columns)].b + c % m.columns * m.b_column;
    int64_t sum = 0;
    for (int64_t k = 0; k < m.depth; ++k) sum += std::abs(column[k * m.b_step]);
    return sum;
  });
  context.pool.parallel_ranges(batches * m.rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> sums(static_cast<size_t>(m.columns));
    for (int64_t row = begin; row < end; ++row) {
      const auto& at = problem.batch[static_cast<size_t>(row / m.rows)];
      std::ranges::fill(sums, 0);
      for (int64_t k = 0; k < m.depth; ++k) {
        const int32_t left = a[static_cast<size_t>(at.a + row % m.rows * m.a_row + k * m.a_step)];
        const int16_t* right = b.data() + at.b + k * m.b_step;
        for (int64_t n = 0; n < m.columns; ++n) {
          sums[static_cast<size_t>(n)] += left * right[n * m.b_column];
        }
      }
      finish(row * m.columns, sums);
    }
  });
}

void eval_matmul_integer(EvalContext& context) {
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  const MatmulProblem problem = matmul_problem(context.node, a.shape(), b.shape());
  Tensor& out = context.output(0, DType::i32, problem.output);
  int32_t* y = out.data<int32_t>().data();
  multiply(context, problem, centred_rows(a, optional_input(context, 2)),
           centred_columns(b, optional_input(context, 3)),
           [&](int64_t at, const std::vector<int32_t>& sums) {
             std::copy(sums.begin(), sums.end(), y + at);
           });
}

// a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point
void eval_qlinear_matmul(EvalContext& context) {
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(3);
  const MatmulProblem problem = matmul_problem(context.node, a.shape(), b.shape());
  const OutputStage stage(context.input(1), context.input(4), context.input(6), context.input(7));
  if (stage.multiplier.size() != 1 &&
      static_cast<int64_t>(stage.multiplier.size()) != problem.matrix.columns) {
    fail(ErrorCode::invalid_model, "{} weight scales do not fit {} columns",
         stage.multiplier.size(), problem.matrix.columns);
  }
  Tensor& out = context.output(0, context.input(7).dtype(), problem.output);
  auto* y = static_cast<uint8_t*>(out.raw());
  multiply(context, problem, centred_rows(a, context.input(2)),
           centred_columns(b, context.input(5)), [&](int64_t at, const std::vector<int32_t>& sums) {
             for (size_t i = 0; i < sums.size(); ++i) {
               y[at + static_cast<int64_t>(i)] = stage(sums[i], static_cast<int64_t>(i));
             }
           });
}

// ---- Rows ----

Shape conv_shape(const NodeTypes& types, size_t weight) {
  const Shape& data = types.shape(0);
  if (data.has_rank() && types.shape(weight).has_rank()) {
    return conv_problem(types.node, data, types.shape(weight), false).output_shape();
  }
  Shape shape = data;
  for (int axis = 1; axis < shape.rank(); ++axis) shape[axis] = Shape::kUnknown;
  return shape;
}

// Operands and zero points are integers of 8 bits, scales are reals.
void require_codes(const NodeTypes& types, std::initializer_list<size_t> codes,
                   std::initializer_list<size_t> scales = {}) {
  for (const size_t i : codes) {
    if (!types.has(i)) continue;
    const DType dtype = types.input(i).dtype;
    if (is_integer(dtype) && bits_of(dtype) == 8) continue;
    fail(ErrorCode::invalid_model, "input {} is {}, expected i8 or u8", i, name_of(dtype));
  }
  for (const size_t i : scales) {
    if (is_float(types.input(i).dtype)) continue;
    fail(ErrorCode::invalid_model, "input {} is {}, expected f32", i,
         name_of(types.input(i).dtype));
  }
}

std::vector<TensorType> infer_conv_integer(const NodeTypes& types) {
  require_codes(types, {0, 1, 2, 3});
  return one_output(DType::i32, conv_shape(types, 1));
}
std::vector<TensorType> infer_qlinear_conv(const NodeTypes& types) {
  require_codes(types, {0, 2, 3, 5, 7}, {1, 4, 6});
  return one_output(types.input(7).dtype, conv_shape(types, 3));
}
std::vector<TensorType> infer_matmul_integer(const NodeTypes& types) {
  require_codes(types, {0, 1, 2, 3});
  return one_output(DType::i32, matmul_shape(types.shape(0), types.shape(1)));
}
std::vector<TensorType> infer_qlinear_matmul(const NodeTypes& types) {
  require_codes(types, {0, 2, 3, 5, 7}, {1, 4, 6});
  return one_output(types.input(7).dtype, matmul_shape(types.shape(0), types.shape(3)));
}

constexpr OpRow row(std::string_view name, std::pair<int, int> inputs, const WeightRole& weights,
                    InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .min_inputs = inputs.first,
          .max_inputs = inputs.second,
          .infer = infer,
          .eval = eval,
          .kernels = "eval is exact; packed kernels need a zero point known beforehand",
          .why_float = "integer arithmetic in itself: its operands are codes, not typed values",
          .quant = QuantRole::opaque_codes,
          .weights = weights,
          .gradient = Gradient::none,
          .tolerance = 0};
}

constexpr std::array kRows = {
    row("ConvInteger", {2, 4}, {.axes = convolution_axes}, infer_conv_integer, eval_conv_integer),
    row("MatMulInteger", {2, 4}, {.axes = matmul_axes, .matrix = true}, infer_matmul_integer,
        eval_matmul_integer),
    row("QLinearConv", {8, 9}, {.axes = convolution_axes, .weight = 3, .bias = 8},
        infer_qlinear_conv, eval_qlinear_conv),
    row("QLinearMatMul", {8, 8}, {.axes = matmul_axes, .weight = 3, .matrix = true},
        infer_qlinear_matmul, eval_qlinear_matmul),
};

}  // namespace

std::span<const OpRow> integer_arithmetic_ops() { return kRows; }

}  // namespace nibble
