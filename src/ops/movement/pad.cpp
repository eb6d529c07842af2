// Pad: constant, reflect, edge and wrap; negative amounts crop.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"
#include "ops/support/strided_copy.h"

namespace nibble {
namespace {

enum class PadMode : uint8_t { constant, reflect, edge, wrap };

PadMode mode_of(const Node& node) {
  const std::string mode = node.attributes.text("mode", "constant");
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  if (mode == "wrap") return PadMode::wrap;
  fail(ErrorCode::invalid_model, "attribute mode is '{}'", mode);
}

struct Amounts {
  std::array<int64_t, Shape::kMaxRank> begin{}, end{};
};

// `axes`: those the pads are for; empty: all.
Amounts amounts_of(std::span<const int64_t> pads, std::span<const int64_t> axes, int rank) {
  const size_t count = axes.empty() ? static_cast<size_t>(rank) : axes.size();
  if (pads.size() != 2 * count) {
    fail(ErrorCode::invalid_model, "{} pads for {} axes", pads.size(), count);
  }
  Amounts amounts;
  for (size_t i = 0; i < count; ++i) {
    const size_t axis = axes.empty() ? i : static_cast<size_t>(normalize_axis(axes[i], rank));
    amounts.begin[axis] = pads[i];
    amounts.end[axis] = pads[count + i];
  }
  return amounts;
}

Shape padded(const Shape& shape, const Amounts& amounts) {
  Shape result = shape;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const auto a = static_cast<size_t>(axis);
    if (shape[axis] < 0) continue;
    const bool overflows = __builtin_add_overflow(shape[axis], amounts.begin[a], &result[axis]) ||
                           __builtin_add_overflow(result[axis], amounts.end[a], &result[axis]);
    if (overflows || result[axis] < 0 || amounts.begin[a] == INT64_MIN ||
        amounts.end[a] == INT64_MIN)
      fail(ErrorCode::invalid_model, "the pads do not fit the data {}", shape.to_string());
  }
  return result;
}

// Position in [0, extent) that position `at` of the padded axis shows.
int64_t source_of(int64_t at, int64_t extent, PadMode mode) {
  if (mode == PadMode::edge) return std::clamp<int64_t>(at, 0, extent - 1);
  if (mode == PadMode::wrap) return (at % extent + extent) % extent;
  if (extent == 1) return 0;
  const int64_t period = 2 * (extent - 1);
  const int64_t phase = (at % period + period) % period;
  return phase < extent ? phase : period - phase;
}

struct Pad {
  static constexpr std::string_view kName = "pad";
  PadMode mode = PadMode::constant;
  Amounts amounts;
  Shape input, output;
  StridedCopy inner;
  Tensor code;  // what is written, where codes are padded; else input 2 or the attribute says

  Pad(PadMode pad_mode, const Amounts& pad_amounts, const Shape& shape)
      : mode(pad_mode), amounts(pad_amounts), input(shape), output(padded(shape, pad_amounts)) {
    output.elements();  // throws if strides would overflow
    const auto in = dense_strides(input), out = dense_strides(output);
    for (int axis = 0; axis < input.rank(); ++axis) {
      const auto a = static_cast<size_t>(axis);
      const int64_t skip = std::max<int64_t>(0, -amounts.begin[a]);
      const int64_t kept = input[axis] - skip - std::max<int64_t>(0, -amounts.end[a]);
      inner.source_offset += skip * in[a];
      inner.target_offset += std::max<int64_t>(0, amounts.begin[a]) * out[a];
      inner.add_axis(std::max<int64_t>(0, kept), in[a], out[a]);
    }
  }

  void operator()(EvalContext& context) const {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, in.dtype(), output);
    const size_t size = element_bytes(in.dtype());
    if (mode == PadMode::constant) {
      fill(context, out);
      return copy(inner, size, in.raw(), out.raw(), context.pool);
    }
    if (output.elements() == 0) return;
    if (input.elements() == 0)
      fail(ErrorCode::invalid_model, "nothing of {} to repeat", input.to_string());
    switch (size) {
      case 1:
        return repeat<uint8_t>(in, out, context.pool);
      case 2:
        return repeat<uint16_t>(in, out, context.pool);
      case 4:
        return repeat<uint32_t>(in, out, context.pool);
      default:
        return repeat<uint64_t>(in, out, context.pool);
    }
  }

  void fill(EvalContext& context, Tensor& out) const {
    with_type(out.dtype(), [&](auto zero) {
      using T = decltype(zero);
      T value{};
      if (!code.empty()) {
        value = code.data<T>()[0];
      } else if (context.has(2)) {
        if (context.input(2).elements() != 1) {
          fail(ErrorCode::invalid_model, "the value {} is not one number",
               context.input(2).shape().to_string());
        }
        value = context.input(2).data<T>()[0];
      } else if constexpr (std::is_same_v<T, float>) {
        value = context.node.attributes.real("value", 0);
      }
      std::ranges::fill(out.data<T>(), value);
    });
  }

  template <typename T>
  void repeat(const Tensor& in, Tensor& out, ThreadPool& pool) const {
    const auto* from = static_cast<const T*>(in.raw());
    auto* to = static_cast<T*>(out.raw());
    const int last = output.rank() - 1;
    const int64_t width = output[last], in_width = input[last];
    const int64_t before = amounts.begin[static_cast<size_t>(last)];
    pool.parallel_ranges(output.elements() / width, 64, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        int64_t rest = row, at = 0, step = in_width;
        for (int axis = last - 1; axis >= 0; --axis) {
          const int64_t position = rest % output[axis] - amounts.begin[static_cast<size_t>(axis)];
          rest /= output[axis];
          at += source_of(position, input[axis], mode) * step;
          step *= input[axis];
        }
        for (int64_t i = 0; i < width; ++i) {
          to[row * width + i] = from[at + source_of(i - before, in_width, mode)];
        }
      }
    });
  }
};

std::vector<TensorType> infer(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  const Shape& shape = types.shape(0);
  if (!shape.has_rank()) return {type};
  const KnownIntegers pads = integers_of(types, 1, "pads"), axes = integers_of(types, 3, "");
  type.shape = shape;
  if (pads.known && axes.known) {
    type.shape = padded(shape, amounts_of(pads.values, axes.values, shape.rank()));
  } else {
    for (int axis = 0; axis < shape.rank(); ++axis) type.shape[axis] = Shape::kUnknown;
  }
  return {type};
}

void eval(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval);
  const Shape& shape = context.input(0).shape();
  const auto pads = integers_of(context, 1, "pads").value_or(std::vector<int64_t>{});
  const auto axes = integers_of(context, 3, "").value_or(std::vector<int64_t>{});
  if (shape.rank() == 0) return context.set_output(0, context.input(0));
  Pad(mode_of(context.node), amounts_of(pads, axes, shape.rank()), shape)(context);
}

// The code that stands for the number written: the nearest, as if it had been padded in real
// numbers and rounded then. nullopt if the number is not known, or lies between two codes and the
// result is not to be rounded.
std::optional<Tensor> code_written(const KernelSpec& spec) {
  const QuantParams& grid = *spec.grid(0);
  float value = spec.types.node.attributes.real("value", 0);
  if (spec.types.has(2)) {
    const Tensor* known = spec.types.constant(2);
    if (known == nullptr || known->elements() != 1) return std::nullopt;
    value = convert(*known, DType::f32).data<float>()[0];
  }
  if (std::isnan(value)) return std::nullopt;
  Tensor code = quantize_tensor(Tensor::scalar(value), grid);
  const auto wanted =
      codes_form({.dtype = DType::f32, .shape = {}, .quant = spec.outputs[0].quant}, grid.storage);
  const bool is_rounded = wanted && *wanted->grid == grid;
  if (!is_rounded && dequantize_tensor(code, grid).data<float>()[0] != value) return std::nullopt;
  return code;
}

std::unique_ptr<Kernel> prepare(const KernelSpec& spec) {
  const TensorType& in = spec.types.input(0);
  const KnownIntegers pads = integers_of(spec.types, 1, "pads"),
                      axes = integers_of(spec.types, 3, "");
  if (!in.shape.is_static() || in.shape.rank() == 0 || is_packed(in.dtype) || !pads.known ||
      !axes.known) {
    return spec.refuse("its amounts are not known");
  }
  const Amounts amounts = amounts_of(pads.values, axes.values, in.shape.rank());
  Pad pad(mode_of(spec.types.node), amounts, in.shape);
  if (spec.grid(0) != nullptr && pad.mode == PadMode::constant) {
    const std::optional<Tensor> code = code_written(spec);
    if (!code) return spec.refuse("the number it writes is not one of the codes");
    pad.code = *code;
  }
  return make_prepared(std::move(pad));
}

constexpr std::array kKernels = {on_elements("pad", prepare)};

bool writes_a_number(const Node& node) { return mode_of(node) == PadMode::constant; }

constexpr std::array kRows = {
    OpRow{.name = "Pad",
          .max_inputs = 4,
          .infer = infer,
          .eval = eval,
          .kernels = kKernels,
          .quant = QuantRole::same_codes,
          .writes = writes_a_number,
          .gradient = Gradient::autograd,
          .tolerance = 0},
};

}  // namespace

std::span<const OpRow> pad_ops() { return kRows; }

}  // namespace nibble
