// Resize and Upsample: one pass per axis that changes, between two halves of a workspace.
#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "ops/families.h"
#include "ops/image/resize_plan.h"
#include "ops/support/float_eval.h"
#include "ops/support/kernel_cache.h"
#include "ops/support/onednn.h"
#include "ops/support/spatial.h"

namespace nibble {
namespace {

class ResizeKernel : public Kernel {
 public:
  ResizeKernel(ResizePlan plan, const Shape& input, size_t element_size)
      : plan_(std::move(plan)), input_(input), element_size_(element_size) {
    size_t largest = 0;
    Shape shape = input;
    for (const AxisResize& axis : plan_.axes) {
      shape[axis.axis] = axis.out;
      largest = std::max(largest, static_cast<size_t>(shape.elements()) * element_size);
    }
    half_ = onednn::aligned(largest);
  }

  size_t workspace_bytes() const override { return plan_.axes.size() > 1 ? 2 * half_ : 0; }
  std::string describe() const override {
    return plan_.nearest ? "resize nearest" : "resize by weights";
  }

  void run(EvalContext& context) const override {
    const Tensor& in = context.input(0);
    if (plan_.axes.empty()) return context.set_output(0, in);
    Tensor& out = context.output(0, in.dtype(), plan_.output);
    auto* workspace = static_cast<std::byte*>(context.workspace);
    const void* from = in.raw();
    Shape shape = input_;
    for (size_t i = 0; i < plan_.axes.size(); ++i) {
      const AxisResize& axis = plan_.axes[i];
      void* to = i + 1 == plan_.axes.size() ? out.raw() : workspace + i % 2 * half_;
      if (plan_.nearest) {
        gather(axis, shape, from, to, context.pool);
      } else if (in.dtype() == DType::f64) {
        interpolate<double>(axis, shape, from, to, context.pool);
      } else {
        interpolate<float>(axis, shape, from, to, context.pool);
      }
      shape[axis.axis] = axis.out;
      from = to;
    }
    if (in.dtype() == DType::f32) extrapolate(out);
  }

 private:
  void gather(const AxisResize& axis, const Shape& shape, const void* from, void* to,
              ThreadPool& pool) const {
    const int64_t outer = shape.elements(0, axis.axis);
    const size_t run =
        element_size_ * static_cast<size_t>(shape.elements(axis.axis + 1, shape.rank()));
    if (run == sizeof(float)) return gather_floats(axis, outer, from, to, pool);
    pool.parallel_ranges(outer, 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        for (int64_t j = 0; j < axis.out; ++j) {
          const int64_t at = axis.index[static_cast<size_t>(j)];
          std::memcpy(
              static_cast<std::byte*>(to) + static_cast<size_t>(o * axis.out + j) * run,
              static_cast<const std::byte*>(from) + static_cast<size_t>(o * axis.in + at) * run,
              run);
        }
      }
    });
  }

  static void gather_floats(const AxisResize& axis, int64_t outer, const void* from, void* to,
                            ThreadPool& pool) {
    pool.parallel_ranges(outer, 16, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const auto* row = static_cast<const uint32_t*>(from) + o * axis.in;
        auto* out = static_cast<uint32_t*>(to) + o * axis.out;
        for (int64_t j = 0; j < axis.out; ++j) out[j] = row[axis.index[static_cast<size_t>(j)]];
      }
    });
  }

  template <typename T>
  static void interpolate(const AxisResize& axis, const Shape& shape, const void* from, void* to,
                          ThreadPool& pool) {
    const int64_t outer = shape.elements(0, axis.axis);
    const int64_t inner = shape.elements(axis.axis + 1, shape.rank());
    pool.parallel_ranges(outer * axis.out, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* plane = static_cast<const T*>(from) + row / axis.out * axis.in * inner;
        T* out = static_cast<T*>(to) + row * inner;
        std::fill_n(out, inner, T{});
        for (int64_t t = 0; t < axis.taps; ++t) {
          const auto tap = static_cast<size_t>(row % axis.out * axis.taps + t);
          const T* in = plane + axis.index[tap] * inner;
          const T weight = static_cast<T>(axis.weight[tap]);
          for (int64_t i = 0; i < inner; ++i) out[i] += weight * in[i];
        }
      }
    });
  }

  // Positions outside the region of interest (tf_crop_and_resize).
  void extrapolate(Tensor& out) const {
    for (const AxisResize& axis : plan_.axes) {
      if (axis.outside.empty()) continue;
      const int64_t outer = plan_.output.elements(0, axis.axis);
      const int64_t inner = plan_.output.elements(axis.axis + 1, plan_.output.rank());
      for (int64_t row = 0; row < outer * axis.out; ++row) {
        if (!axis.outside[static_cast<size_t>(row % axis.out)]) continue;
        std::fill_n(out.data<float>().data() + row * inner, inner, plan_.extrapolation);
      }
    }
  }

  ResizePlan plan_;
  Shape input_;
  size_t element_size_;
  size_t half_ = 0;
};

std::vector<float> floats_of(const Tensor& tensor) {
  const Tensor wide = convert(tensor, DType::f32);
  const std::span<const float> values = wide.data<float>();
  return {values.begin(), values.end()};
}

// Which inputs the scales and sizes are depends on the opset: X, scales (Upsample, opset 10); X,
// roi, scales, sizes since opset 11. `get(i)`: the tensor, or nullptr.
template <typename Get>
ResizeInputs inputs_of(const Node& node, int opset, const Get& get) {
  ResizeInputs inputs;
  const auto list = [&](size_t i) {
    const Tensor* tensor = get(i);
    return tensor == nullptr ? std::vector<float>() : floats_of(*tensor);
  };
  if (node.op == "Upsample" || opset < 11) {
    inputs.scales = node.attributes.has("scales") ? node.attributes.reals("scales") : list(1);
    return inputs;
  }
  inputs.roi = list(1);
  inputs.scales = list(2);
  for (float size : list(3)) inputs.sizes.push_back(static_cast<int64_t>(size));
  if (!inputs.sizes.empty()) inputs.scales.clear();
  return inputs;
}

ResizeInputs inputs_of(const NodeTypes& types) {
  return inputs_of(types.node, types.opset, [&](size_t i) { return types.constant(i); });
}

std::vector<TensorType> infer(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (!types.shape(0).has_rank()) return {type};
  const ResizeInputs inputs = inputs_of(types);
  if (inputs.scales.empty() && inputs.sizes.empty()) {
    for (type.shape = Shape{}; type.shape.rank() < types.shape(0).rank();) {
      type.shape.push_back(Shape::kUnknown);
    }
  } else {
    type.shape = resized_shape(types.node, types.shape(0), inputs);
  }
  return {type};
}

bool is_nearest(const Node& node) { return node.attributes.text("mode", "nearest") == "nearest"; }

void eval(EvalContext& context) {
  const Tensor& in = context.input(0);
  const bool real = in.dtype() == DType::f32 || in.dtype() == DType::f64;
  if (is_nearest(context.node) && is_packed(in.dtype())) return eval_as_bytes(context, eval);
  if (is_nearest(context.node) || real) {
    const ResizeInputs inputs = inputs_of(context.node, context.opset, [&](size_t i) {
      return context.has(i) ? &context.input(i) : nullptr;
    });
    const ResizeKernel kernel(plan_resize(context.node, context.opset, in.shape(), inputs),
                              in.shape(), element_bytes(in.dtype()));
    return run_with_workspace(kernel, context);
  }
  if (is_half(in.dtype())) return eval_as_f32(context, eval);
  // Integers are interpolated in float; the result is truncated.
  std::vector<Tensor> inputs, outputs(1);
  for (size_t i = 0; i < context.input_count(); ++i) inputs.push_back(context.input(i));
  inputs[0] = convert(in, DType::f32);
  EvalContext inner(context.node, context.opset, inputs, outputs, context.pool);
  eval(inner);
  context.set_output(0, convert(outputs[0], in.dtype()));
}

std::unique_ptr<Kernel> prepare(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const TensorType& in = types.input(0);
  const ResizeInputs inputs = inputs_of(types);
  const bool by_size = types.has(3) && types.node.op == "Resize" && types.opset >= 11;
  if (in.dtype != DType::f32 || !in.shape.is_static() ||
      (by_size ? inputs.sizes : std::vector<int64_t>(inputs.scales.size())).empty()) {
    return nullptr;
  }
  // A region of interest that is computed at run time can change the plan.
  if (types.has(1) && types.opset >= 11 && types.constant(1) == nullptr) return nullptr;
  return std::make_unique<ResizeKernel>(plan_resize(types.node, types.opset, in.shape, inputs),
                                        in.shape, sizeof(float));
}

constexpr std::array kKernels = {on_reals("resize on f32", prepare)};

constexpr OpRow row(std::string_view name, int max_inputs) {
  return {.name = name,
          .max_inputs = max_inputs,
          .infer = infer,
          .eval = eval,
          .kernels = kKernels,
          .why_float = "interpolation needs its own rounding: evaluated in float",
          .gradient = Gradient::autograd,
          .layout = LayoutRole::spatial,
          .tolerance = 1e-4};
}

constexpr std::array kRows = {row("Resize", 4), row("Upsample", 2)};

}  // namespace

std::span<const OpRow> resize_ops() { return kRows; }

}  // namespace nibble
