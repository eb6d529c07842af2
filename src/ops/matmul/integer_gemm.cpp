// Gemm and MatMul on codes, with constant weights.
#include "kernels/qgemm.h"
#include "nibble/error.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

class IntegerGemm : public Kernel {
 public:
  IntegerGemm(QGemm gemm, int64_t rows, const TensorType& output)
      : gemm_(std::move(gemm)), rows_(rows), out_dtype_(output.dtype), out_shape_(output.shape) {}

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, out_dtype_, out_shape_);
    gemm_.run(context.input(0).data<uint8_t>().data(), rows_, out.raw(), context.workspace,
              context.pool);
  }
  size_t workspace_bytes() const override { return gemm_.workspace_bytes(rows_); }
  size_t constant_bytes() const override { return gemm_.constant_bytes(); }
  std::string describe() const override { return gemm_.describe(); }

 private:
  QGemm gemm_;
  int64_t rows_;
  DType out_dtype_;
  Shape out_shape_;
};

// rows x k codes times the constant of input 1; alpha and beta as Gemm has them.
std::unique_ptr<Kernel> constant_product(const KernelSpec& spec, QGemm::Layout layout, float alpha,
                                         float beta) {
  const int channel_axis = layout == QGemm::Layout::nk ? 0 : 1;
  const auto weights = integer_weights(spec, channel_axis);
  if (!weights) return nullptr;
  const QuantParams& input = *spec.grid(0);
  std::vector<double> unit;
  for (float scale : weights->scales) {
    unit.push_back(static_cast<double>(input.scale[0]) * scale * alpha);
  }
  const auto bias = integer_bias(spec, unit, beta);
  if (!bias) return nullptr;
  const Shape& weight = spec.types.shape(1);
  const QGemm::Shape shape{
      .k = weight[1 - channel_axis], .n = weight[channel_axis], .layout = layout};
  const int64_t rows = spec.types.shape(0).elements() / std::max<int64_t>(shape.k, 1);
  try {
    return std::make_unique<IntegerGemm>(
        QGemm(shape, weights->values, *bias, input.zero_point[0], output_stage(spec, unit)), rows,
        spec.outputs[0]);
  } catch (const Error& error) {  // the sums may not fit int32
    if (error.code() != ErrorCode::unsupported) throw;
    return spec.refuse(error.message());
  }
}

}  // namespace

std::unique_ptr<Kernel> integer_gemm(const KernelSpec& spec) {
  const Attributes& attributes = spec.types.node.attributes;
  if (attributes.integer("transA", 0) != 0) return spec.refuse("its input is transposed");
  const float alpha = attributes.real("alpha", 1);
  if (alpha == 0) return spec.refuse("alpha is zero");
  return constant_product(
      spec, attributes.integer("transB", 0) != 0 ? QGemm::Layout::nk : QGemm::Layout::kn, alpha,
      attributes.real("beta", 1));
}

std::unique_ptr<Kernel> integer_matmul(const KernelSpec& spec) {
  if (spec.types.shape(1).rank() != 2) return spec.refuse("its right operand is not a matrix");
  return constant_product(spec, QGemm::Layout::kn, 1, 1);
}

}  // namespace nibble
