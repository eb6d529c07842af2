#include "kernels/qconv.h"

#include <fmt/format.h>

#include <vector>

#include "base/check.h"
#include "kernels/reference.h"

namespace nibble {
namespace {

void validate_shape(const ConvShape& shape, size_t weights, size_t bias, int32_t zero_point) {
  const Window& w = shape.window;
  const bool positive = w.batch > 0 && w.in_h > 0 && w.in_w > 0 && w.kernel_h > 0 &&
                        w.kernel_w > 0 && w.stride_h > 0 && w.stride_w > 0 && w.dilation_h > 0 &&
                        w.dilation_w > 0 && w.out_h > 0 && w.out_w > 0 && shape.in_channels > 0 &&
                        shape.out_channels > 0 && shape.groups > 0;
  if (!positive || w.pad_top < 0 || w.pad_left < 0)
    fail(ErrorCode::invalid_argument,
         "extents, strides and dilations of a convolution must be positive, padding not negative");
  if (shape.in_channels % shape.groups != 0 || shape.out_channels % shape.groups != 0)
    fail(ErrorCode::invalid_argument, "{} input and {} output channels do not split into {} groups",
         shape.in_channels, shape.out_channels, shape.groups);
  if (static_cast<int64_t>(weights) != shape.out_channels * shape.depth())
    fail(ErrorCode::invalid_argument, "the convolution has {} weights, expected {}", weights,
         shape.out_channels * shape.depth());
  if (bias != 0 && static_cast<int64_t>(bias) != shape.out_channels)
    fail(ErrorCode::invalid_argument, "the convolution has {} biases, expected {}", bias,
         shape.out_channels);
  if (zero_point < 0 || zero_point > 255)
    fail(ErrorCode::invalid_argument, "the input zero point {} does not fit u8", zero_point);
}

}  // namespace

struct QConv::Impl {
  ConvShape shape;
  OutputStage stage;
  Isa isa;
  int32_t input_zero_point;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;

  ReferenceConv reference() const { return {shape, weights, bias, input_zero_point}; }
};

QConv::QConv(const ConvShape& shape, std::span<const int8_t> weights, std::span<const int32_t> bias,
             int32_t input_zero_point, OutputStage stage, Isa isa) {
  validate_shape(shape, weights.size(), bias.size(), input_zero_point);
  validate(stage, shape.out_channels);
  auto impl = std::make_unique<Impl>();
  impl->shape = shape;
  impl->stage = std::move(stage);
  impl->isa = isa;
  impl->input_zero_point = input_zero_point;
  impl->weights.assign(weights.begin(), weights.end());
  impl->bias.assign(bias.begin(), bias.end());
  impl->bias.resize(static_cast<size_t>(shape.out_channels), 0);
  prove_int32(impl->weights, impl->bias, shape.depth());
  impl_ = std::move(impl);
}

QConv::QConv(QConv&&) noexcept = default;
QConv& QConv::operator=(QConv&&) noexcept = default;
QConv::~QConv() = default;

void QConv::run(const uint8_t* input, void* output, void* /*workspace*/, ThreadPool& pool) const {
  run_reference(impl_->reference(), impl_->stage, input, output, pool);
}

size_t QConv::workspace_bytes() const { return 0; }
size_t QConv::constant_bytes() const {
  return impl_->weights.size() + 4 * (impl_->bias.size() + impl_->stage.multiplier.size());
}
const ConvShape& QConv::shape() const { return impl_->shape; }

std::string QConv::describe() const {
  const Window& w = impl_->shape.window;
  return fmt::format("conv u8s8 {}x{} {}", w.kernel_h, w.kernel_w, name_of(impl_->isa));
}

}  // namespace nibble
