// MatMul of two operands on codes.
#include "kernels/qproduct.h"
#include "nibble/error.h"
#include "ops/matmul/matmul.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

class IntegerProduct : public Kernel {
 public:
  IntegerProduct(QProduct product, const TensorType& output)
      : product_(std::move(product)), out_dtype_(output.dtype), out_shape_(output.shape) {}

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, out_dtype_, out_shape_);
    product_.run(context.input(0).data<uint8_t>().data(), context.input(1).data<uint8_t>().data(),
                 out.raw(), context.workspace, context.pool);
  }
  size_t workspace_bytes() const override { return product_.workspace_bytes(); }
  DType multiplies() const override { return DType::i8; }
  std::string describe() const override { return product_.describe(); }

 private:
  QProduct product_;
  DType out_dtype_;
  Shape out_shape_;
};

}  // namespace

std::unique_ptr<Kernel> integer_product(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const MatmulProblem problem = matmul_problem(types.node, types.shape(0), types.shape(1));
  const MatrixShape& matrix = problem.matrix;
  if (problem.output.elements() == 0 || matrix.depth == 0) return spec.refuse("it is empty");
  const QuantParams &a = *spec.grid(0), &b = *spec.grid(1);
  QProduct::Shape shape{.rows = matrix.rows,
                        .depth = matrix.depth,
                        .columns = matrix.columns,
                        .a_elements = types.shape(0).elements(),
                        .a_zero_point = a.zero_point[0],
                        .b_zero_point = b.zero_point[0]};
  for (const MatmulProblem::Offsets& at : problem.batch) shape.pairs.push_back({at.a, at.b});
  const double unit = static_cast<double>(a.scale[0]) * static_cast<double>(b.scale[0]);
  try {
    return std::make_unique<IntegerProduct>(
        QProduct(std::move(shape), output_stage(spec, std::span(&unit, 1))), spec.outputs[0]);
  } catch (const Error& error) {  // the sums may not fit int32
    if (error.code() != ErrorCode::unsupported) throw;
    return spec.refuse(error.message());
  }
}

}  // namespace nibble
