// Gemm and MatMul on codes, with constant weights.
#include "kernels/qgemm.h"
#include "nibble/error.h"
#include "ops/matmul/matmul.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

// One product after another: rows x k codes times one of the weight's matrices.
class IntegerGemm : public Kernel {
 public:
  struct Product {
    int64_t data = 0;   // first element of the rows
    size_t matrix = 0;  // which of the weight's
  };
  IntegerGemm(std::vector<QGemm> matrices, std::vector<Product> products, int64_t rows,
              const TensorType& output)
      : matrices_(std::move(matrices)),
        products_(std::move(products)),
        rows_(rows),
        out_dtype_(output.dtype),
        out_shape_(output.shape) {
    const int64_t elements = out_shape_.elements() / std::max<int64_t>(1, std::ssize(products_));
    result_bytes_ = storage_bytes(out_dtype_, elements);
  }

  void run(EvalContext& context) const override {
    const uint8_t* data = context.input(0).data<uint8_t>().data();
    auto* out = static_cast<std::byte*>(context.output(0, out_dtype_, out_shape_).raw());
    for (const Product& product : products_) {
      matrices_[product.matrix].run(data + product.data, rows_, out, context.workspace,
                                    context.pool);
      out += result_bytes_;
    }
  }
  size_t workspace_bytes() const override { return matrices_[0].workspace_bytes(rows_); }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const QGemm& matrix : matrices_) bytes += matrix.constant_bytes();
    return bytes;
  }
  DType multiplies() const override { return DType::i8; }
  std::string describe() const override { return matrices_[0].describe(); }

 private:
  std::vector<QGemm> matrices_;  // of the same shape
  std::vector<Product> products_;
  int64_t rows_;
  DType out_dtype_;
  Shape out_shape_;
  size_t result_bytes_ = 0;
};

// Codes times the constant of input 1, a matrix or several; alpha and beta as Gemm has them.
std::unique_ptr<Kernel> constant_product(const KernelSpec& spec, const MatmulProblem& problem,
                                         QGemm::Layout layout, float alpha, float beta) {
  const int rank = spec.types.shape(1).rank();
  const auto weights = integer_weights(spec, rank - (layout == QGemm::Layout::nk ? 2 : 1));
  if (!weights) return nullptr;
  const QuantParams& input = *spec.grid(0);
  std::vector<double> unit;
  for (float scale : weights->scales) {
    unit.push_back(static_cast<double>(input.scale[0]) * scale * alpha);
  }
  const auto bias = integer_bias(spec, unit, beta);
  if (!bias) return nullptr;
  const MatrixShape& m = problem.matrix;
  const QGemm::Shape shape{.k = m.depth, .n = m.columns, .layout = layout};
  const auto size = static_cast<size_t>(m.depth * m.columns);
  if (size == 0) return spec.refuse("it is empty");
  std::vector<IntegerGemm::Product> products;
  for (const MatmulProblem::Offsets& at : problem.batch) {
    products.push_back({at.a, static_cast<size_t>(at.b) / size});
  }
  try {
    std::vector<QGemm> matrices;
    for (size_t first = 0; first < weights->values.size(); first += size) {
      matrices.emplace_back(shape, weights->values.subspan(first, size), *bias, input.zero_point[0],
                            output_stage(spec, unit), best_isa(), spec.saturating16, input.qmax);
    }
    return std::make_unique<IntegerGemm>(std::move(matrices), std::move(products), m.rows,
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
  const NodeTypes& types = spec.types;
  const MatmulProblem problem = gemm_problem(types.node, types.shape(0), types.shape(1), nullptr);
  return constant_product(
      spec, problem, attributes.integer("transB", 0) != 0 ? QGemm::Layout::nk : QGemm::Layout::kn,
      alpha, attributes.real("beta", 1));
}

std::unique_ptr<Kernel> integer_matmul(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.shape(1).rank() < 2) return spec.refuse("its right operand is not a matrix");
  return constant_product(spec, matmul_problem(types.node, types.shape(0), types.shape(1)),
                          QGemm::Layout::kn, 1, 1);
}

}  // namespace nibble
