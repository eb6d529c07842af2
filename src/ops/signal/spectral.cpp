// Discrete Fourier transforms (DFT, STFT) and the windows that go with them.
#include <array>
#include <cmath>
#include <complex>
#include <numbers>
#include <optional>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/infer.h"
#include "ops/support/onnx_dtype.h"

namespace nibble {
namespace {

using Complex = std::complex<double>;

/// Transforms of one length: even factors are split off (Cooley and Tukey, 1965), the odd rest is
/// summed directly.
class Transform {
 public:
  Transform(int64_t length, bool inverse) : root_(static_cast<size_t>(length)) {
    const double turn = (inverse ? 2 : -2) * std::numbers::pi / static_cast<double>(length);
    for (size_t i = 0; i < root_.size(); ++i) {
      root_[i] = std::polar(1.0, turn * static_cast<double>(i));
    }
  }

  /// out[k] = sum of in[i] * e^(-+ 2 pi i k / n), not scaled.
  void run(const std::vector<Complex>& in, std::vector<Complex>& out) const {
    out.resize(root_.size());
    step(in.data(), out.data(), root_.size(), 1);
  }

 private:
  void step(const Complex* in, Complex* out, size_t n, size_t stride) const {
    if (n % 2 == 0) {
      step(in, out, n / 2, stride * 2);
      step(in + stride, out + n / 2, n / 2, stride * 2);
      for (size_t k = 0; k < n / 2; ++k) {
        const Complex odd = root_[k * stride] * out[n / 2 + k];
        out[n / 2 + k] = out[k] - odd;
        out[k] += odd;
      }
      return;
    }
    for (size_t k = 0; k < n; ++k) {
      Complex sum = 0;
      for (size_t i = 0; i < n; ++i) sum += in[i * stride] * root_[i * k % n * stride];
      out[k] = sum;
    }
  }

  std::vector<Complex> root_;  // e^(-+ 2 pi i / n)
};

int64_t scalar_of(const Tensor& tensor, std::string_view name) {
  const std::vector<int64_t> values = to_int64s(tensor);
  if (values.size() != 1) fail(ErrorCode::invalid_model, "'{}' is not a scalar", name);
  return values[0];
}

/// Real or complex numbers, the last axis of a tensor being 1 or 2.
struct Signal {
  Tensor values;  // f64
  bool complex = false;

  explicit Signal(const Tensor& tensor) : values(convert(tensor, DType::f64)) {
    const Shape& shape = tensor.shape();
    const int64_t parts = shape.rank() < 2 ? 0 : shape[shape.rank() - 1];
    if (parts != 1 && parts != 2) {
      fail(ErrorCode::invalid_model,
           "{} is no signal: its last axis must be 1 (real) or 2 (complex)", shape.to_string());
    }
    complex = parts == 2;
  }
  Complex at(int64_t i) const {
    const double* x = values.data<double>().data();
    return complex ? Complex(x[2 * i], x[2 * i + 1]) : Complex(x[i], 0);
  }
};

struct DftProblem {
  int axis = 0;
  int64_t length = 0;  // -1: not known
  bool inverse = false;
  bool onesided = false;
  Shape result;

  /// `length` is that of input dft_length, if there is one.
  DftProblem(const Node& node, const Shape& shape, int64_t axis_or_end,
             std::optional<int64_t> given)
      : axis(normalize_axis(axis_or_end, shape.rank() - 1)),
        inverse(node.attributes.integer("inverse", 0) != 0),
        onesided(node.attributes.integer("onesided", 0) != 0),
        result(shape) {
    const int64_t extent = shape[axis];
    length = given.value_or(extent < 0 ? -1 : (inverse && onesided ? 2 * (extent - 1) : extent));
    if (given && *given >= 0 && *given < 1) {
      fail(ErrorCode::invalid_model, "a transform of length {}", *given);
    }
    result[axis] = length < 0 || !onesided || inverse ? length : length / 2 + 1;
    result[shape.rank() - 1] = inverse && onesided ? 1 : 2;
  }
};

void eval_dft(EvalContext& context) {
  const Tensor& input = context.input(0);
  const Signal signal(input);
  const Shape& shape = input.shape();
  // The axis is an attribute until opset 19, counted with the axis of real and imaginary parts.
  int64_t axis = context.opset < 20 ? context.node.attributes.integer("axis", 1) : -2;
  if (context.has(2)) axis = scalar_of(context.input(2), "axis");
  if (axis < 0) axis += shape.rank();
  std::optional<int64_t> given;
  if (context.has(1)) given = scalar_of(context.input(1), "dft_length");
  const DftProblem p(context.node, shape, axis, given);
  if (p.length < 1) fail(ErrorCode::invalid_model, "a transform of length {}", p.length);

  const Transform transform(p.length, p.inverse);
  const int64_t extent = shape[p.axis];
  const int64_t inner = shape.elements(p.axis + 1, shape.rank() - 1);
  const int64_t outer = shape.elements(0, p.axis);
  const int64_t results = p.result[p.axis];
  const bool real = p.inverse && p.onesided;
  const double scale = p.inverse ? 1.0 / static_cast<double>(p.length) : 1.0;
  Tensor values(DType::f64, p.result);
  double* y = values.data<double>().data();
  std::vector<Complex> in(static_cast<size_t>(p.length));
  std::vector<Complex> out;
  for (int64_t slice = 0; slice < outer * inner; ++slice) {
    const int64_t from = slice / inner * extent * inner + slice % inner;
    std::ranges::fill(in, Complex(0));
    for (int64_t i = 0; i < std::min(extent, p.length); ++i) {
      in[static_cast<size_t>(i)] = signal.at(from + i * inner);
    }
    if (real) {  // the other half of the spectrum is the mirrored conjugate
      for (int64_t i = p.length / 2 + 1; i < p.length; ++i) {
        in[static_cast<size_t>(i)] = std::conj(in[static_cast<size_t>(p.length - i)]);
      }
    }
    transform.run(in, out);
    const int64_t to = slice / inner * results * inner + slice % inner;
    for (int64_t k = 0; k < results; ++k) {
      const Complex v = out[static_cast<size_t>(k)] * scale;
      const int64_t at = to + k * inner;
      if (real) {
        y[at] = v.real();
      } else {
        y[2 * at] = v.real();
        y[2 * at + 1] = v.imag();
      }
    }
  }
  context.set_output(0, convert(values, input.dtype()));
}

std::vector<TensorType> infer_dft(const NodeTypes& types) {
  const DType dtype = types.input(0).dtype;
  const Shape& shape = types.shape(0);
  const bool known_axis = !types.has(2) || types.constant(2) != nullptr;
  if (!shape.has_rank() || !known_axis) return one_output(dtype, Shape::unknown_rank());
  int64_t axis = types.opset < 20 ? types.node.attributes.integer("axis", 1) : -2;
  if (types.has(2)) axis = scalar_of(*types.constant(2), "axis");
  if (axis < 0) axis += shape.rank();
  std::optional<int64_t> given;
  if (types.has(1)) {
    given = types.constant(1) != nullptr ? scalar_of(*types.constant(1), "dft_length") : -1;
  }
  return one_output(dtype, DftProblem(types.node, shape, axis, given).result);
}

// signal [batch, length, 1 or 2], frame_step, window, frame_length
void eval_stft(EvalContext& context) {
  const Tensor& input = context.input(0);
  const Signal signal(input);
  if (input.shape().rank() != 3) {
    fail(ErrorCode::invalid_model, "the signal is {}, expected 3 dimensions",
         input.shape().to_string());
  }
  const int64_t batch = input.shape()[0];
  const int64_t length = input.shape()[1];
  const int64_t hop = scalar_of(context.input(1), "frame_step");
  int64_t frame = context.has(2) ? context.input(2).elements() : length;
  if (context.has(3)) frame = scalar_of(context.input(3), "frame_length");
  const bool fits = !context.has(2) || context.input(2).elements() == frame;
  if (hop < 1 || frame < 1 || frame > length || !fits) {
    fail(ErrorCode::invalid_model, "frames of {} every {} do not fit a signal of {} or the window",
         frame, hop, length);
  }
  std::vector<double> window(static_cast<size_t>(frame), 1.0);
  if (context.has(2)) {
    const Tensor given = convert(context.input(2), DType::f64);
    window.assign(given.data<double>().begin(), given.data<double>().end());
  }
  const bool onesided = context.node.attributes.integer("onesided", 1) != 0 && !signal.complex;
  const int64_t frames = (length - frame) / hop + 1;
  const int64_t bins = onesided ? frame / 2 + 1 : frame;
  Tensor values(DType::f64, {batch, frames, bins, 2});
  double* y = values.data<double>().data();
  const Transform transform(frame, false);
  std::vector<Complex> in(static_cast<size_t>(frame));
  std::vector<Complex> out;
  for (int64_t at = 0; at < batch * frames; ++at) {
    const int64_t from = at / frames * length + at % frames * hop;
    for (int64_t i = 0; i < frame; ++i) {
      in[static_cast<size_t>(i)] = signal.at(from + i) * window[static_cast<size_t>(i)];
    }
    transform.run(in, out);
    for (int64_t k = 0; k < bins; ++k) {
      y[2 * (at * bins + k)] = out[static_cast<size_t>(k)].real();
      y[2 * (at * bins + k) + 1] = out[static_cast<size_t>(k)].imag();
    }
  }
  context.set_output(0, convert(values, input.dtype()));
}

std::vector<TensorType> infer_stft(const NodeTypes& types) {
  const Shape& shape = types.shape(0);
  require_rank(types, 0, 3, 3);
  const int64_t batch = shape.has_rank() ? shape[0] : Shape::kUnknown;
  return one_output(types.input(0).dtype, {batch, Shape::kUnknown, Shape::kUnknown, 2});
}

/// w[i] = a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n), n being the size, or one less if symmetric.
struct Cosines {
  double a0, a1, a2;
};
constexpr Cosines kHann{0.5, 0.5, 0};
constexpr Cosines kHamming{25.0 / 46, 21.0 / 46, 0};
constexpr Cosines kBlackman{0.42, 0.5, 0.08};

template <const Cosines& c>
void eval_window(EvalContext& context) {
  const int64_t size = scalar_of(context.input(0), "size");
  if (size < 0) fail(ErrorCode::invalid_data, "a window of size {}", size);
  const bool periodic = context.node.attributes.integer("periodic", 1) != 0;
  const double period = static_cast<double>(periodic ? size : size - 1);
  Tensor window(DType::f64, {size});
  for (int64_t i = 0; i < size; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / period;
    const double value = c.a0 - c.a1 * std::cos(angle) + c.a2 * std::cos(2 * angle);
    window.data<double>()[static_cast<size_t>(i)] = period == 0 ? 1 : value;
  }
  context.set_output(
      0, convert(window, dtype_of_onnx(context.node.attributes.integer("output_datatype", 1))));
}

std::vector<TensorType> infer_window(const NodeTypes& types) {
  const DType dtype = dtype_of_onnx(types.node.attributes.integer("output_datatype", 1));
  const Tensor* size = types.constant(0);
  return one_output(dtype, {size != nullptr ? scalar_of(*size, "size") : Shape::kUnknown});
}

constexpr OpRow row(std::string_view name, std::pair<int, int> inputs, InferSignature* infer,
                    EvalSignature* eval) {
  return {.name = name,
          .min_inputs = inputs.first,
          .max_inputs = inputs.second,
          .infer = infer,
          .eval = eval,
          .kernels = "front ends of audio models, run once",
          .why_float = "a spectrum has a wide range: stays in float",
          .gradient = Gradient::none,
          .tolerance = 1e-4};
}

constexpr std::array kRows = {
    row("DFT", {1, 3}, infer_dft, eval_dft),
    row("STFT", {2, 4}, infer_stft, eval_stft),
    row("HannWindow", {1, 1}, infer_window, eval_window<kHann>),
    row("HammingWindow", {1, 1}, infer_window, eval_window<kHamming>),
    row("BlackmanWindow", {1, 1}, infer_window, eval_window<kBlackman>),
};

}  // namespace

std::span<const OpRow> spectral_ops() { return kRows; }

}  // namespace nibble
