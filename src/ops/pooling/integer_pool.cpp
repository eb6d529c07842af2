// MaxPool, AveragePool and GlobalAveragePool on codes, channels last.
#include "kernels/pool.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

class MaxPool : public Kernel {
 public:
  MaxPool(const ConvWindow& window, uint8_t fill, const Shape& out)
      : window_(window), fill_(fill), out_shape_(out) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    max_pool_u8(window_, out_shape_[out_shape_.rank() - 1], fill_,
                context.input(0).data<uint8_t>().data(), out.data<uint8_t>().data(), context.pool,
                isa_);
  }
  std::string describe() const override { return "max pool u8 " + std::string(name_of(isa_)); }

 private:
  ConvWindow window_;
  uint8_t fill_;
  Shape out_shape_;
  Isa isa_ = best_isa();
};

class AveragePool : public Kernel {
 public:
  AveragePool(const AveragePoolParams& params, const ConvWindow& window, const Shape& out)
      : params_(params), window_(window), out_shape_(out) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    average_pool_u8(params_, window_, out_shape_[out_shape_.rank() - 1],
                    context.input(0).data<uint8_t>().data(), out.data<uint8_t>().data(),
                    context.pool, isa_);
  }
  std::string describe() const override { return "average pool u8 " + std::string(name_of(isa_)); }

 private:
  AveragePoolParams params_;
  ConvWindow window_;
  Shape out_shape_;
  Isa isa_ = best_isa();
};

class GlobalAveragePool : public Kernel {
 public:
  GlobalAveragePool(const AveragePoolParams& params, const Shape& in, const Shape& out)
      : params_(params), in_(in), out_shape_(out) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    global_average_pool_u8(params_, in_[0], in_.elements(1, in_.rank() - 1), in_[in_.rank() - 1],
                           context.input(0).data<uint8_t>().data(), out.data<uint8_t>().data(),
                           context.pool, isa_);
  }
  std::string describe() const override {
    return "global average pool u8 " + std::string(name_of(isa_));
  }

 private:
  AveragePoolParams params_;
  Shape in_;
  Shape out_shape_;
  Isa isa_ = best_isa();
};

AveragePoolParams average_params(const KernelSpec& spec) {
  const QuantParams& in = *spec.grid(0);
  const QuantParams& out = *spec.output_grid();
  return {.ratio = static_cast<double>(in.scale[0]) / out.scale[0],
          .in_zero = in.zero_point[0],
          .out_zero = out.zero_point[0],
          .qmin = out.qmin,
          .qmax = out.qmax};
}

// A sum of this many codes fits int32.
constexpr int64_t kMaxSummed = INT32_MAX / 255;

}  // namespace

std::unique_ptr<Kernel> integer_max_pool(const KernelSpec& spec) {
  if (spec.types.node.output(1)) return spec.refuse("its indices are wanted");
  const auto window =
      channels_last_window(spec, spec.types.node.attributes.integers("kernel_shape"));
  if (!window) return nullptr;
  const auto fill = static_cast<uint8_t>(spec.grid(0)->qmin);
  return std::make_unique<MaxPool>(*window, fill, spec.outputs[0].shape);
}

std::unique_ptr<Kernel> integer_average_pool(const KernelSpec& spec) {
  const Attributes& attributes = spec.types.node.attributes;
  const auto window = channels_last_window(spec, attributes.integers("kernel_shape"));
  if (!window) return nullptr;
  int64_t taps = 1;
  for (int64_t extent : attributes.integers("kernel_shape")) {
    if (__builtin_mul_overflow(taps, extent, &taps) || taps > kMaxSummed) {
      return spec.refuse("its sums may overflow 32 bits");
    }
  }
  AveragePoolParams params = average_params(spec);
  params.count_include_pad = attributes.integer("count_include_pad", 0) != 0;
  const std::vector<int64_t> pads = attributes.integers("pads");
  if (params.count_include_pad && attributes.text("auto_pad", "NOTSET") != "NOTSET") {
    return spec.refuse("it counts padding that auto_pad decides");
  }
  if (!pads.empty()) {
    params.pad_right = pads.back();
    params.pad_bottom = pads.size() == 4 ? pads[2] : 0;
  }
  return std::make_unique<AveragePool>(params, *window, spec.outputs[0].shape);
}

std::unique_ptr<Kernel> integer_global_average_pool(const KernelSpec& spec) {
  if (!spec.types.node.channels_last) {
    return spec.refuse("it does not run channels last");
  }
  const Shape& shape = spec.types.shape(0);
  if (shape.elements(1, shape.rank() - 1) > kMaxSummed) {
    return spec.refuse("its sums may overflow 32 bits");
  }
  return std::make_unique<GlobalAveragePool>(average_params(spec), spec.types.shape(0),
                                             spec.outputs[0].shape);
}

}  // namespace nibble
