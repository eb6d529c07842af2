// Conv on codes.
#include "kernels/qconv.h"
#include "nibble/error.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

class IntegerConv : public Kernel {
 public:
  IntegerConv(QConv conv, const TensorType& output)
      : conv_(std::move(conv)), out_dtype_(output.dtype), out_shape_(output.shape) {}

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, out_dtype_, out_shape_);
    conv_.run(context.input(0).data<uint8_t>().data(), out.raw(), context.workspace, context.pool);
  }
  size_t workspace_bytes() const override { return conv_.workspace_bytes(); }
  size_t constant_bytes() const override { return conv_.constant_bytes(); }
  DType multiplies() const override { return DType::i8; }
  std::string describe() const override { return conv_.describe(); }

 private:
  QConv conv_;
  DType out_dtype_;
  Shape out_shape_;
};

}  // namespace

std::unique_ptr<Kernel> integer_conv(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const Shape& weight_shape = types.shape(1);
  const auto window = channels_last_window(spec, weight_shape.dims().subspan(2));
  if (!window) return nullptr;
  const auto weights = integer_weights(spec, 0);
  if (!weights) return nullptr;
  const QuantParams& input = *spec.grid(0);
  std::vector<double> unit;
  for (float scale : weights->scales) unit.push_back(static_cast<double>(input.scale[0]) * scale);
  const auto bias = integer_bias(spec, unit);
  if (!bias) return nullptr;
  const ConvShape shape{.window = *window,
                        .in_channels = types.shape(0)[types.shape(0).rank() - 1],
                        .out_channels = weight_shape[0],
                        .groups = types.node.attributes.integer("group", 1)};
  try {
    return std::make_unique<IntegerConv>(
        QConv(shape, weights->values, *bias, input.zero_point[0], output_stage(spec, unit),
              best_isa(), spec.saturating16, input.qmax),
        spec.outputs[0]);
  } catch (const Error& error) {  // the sums may not fit int32
    if (error.code() != ErrorCode::unsupported) throw;
    return spec.refuse(error.message());
  }
}

}  // namespace nibble
