// Gemm and MatMul as products of matrices: rows are those of the data, groups the matrices of the
// weight.
#include "ops/matmul/matmul.h"
#include "ops/roles.h"
#include "ops/support/layer_matrix.h"

namespace nibble {
namespace {

using MakeProblem = MatmulProblem (*)(const Node& node, const Shape& a, const Shape& b);

MatmulProblem without_addend(const Node& node, const Shape& a, const Shape& b) {
  return gemm_problem(node, a, b, nullptr);
}

class ProductMatrix final : public LayerMatrix {
 public:
  ProductMatrix(const Node& node, const Shape& weight, const WeightAxes& axes, MakeProblem make)
      : LayerMatrix(weight.elements(0, weight.rank() - 2), weight[axes.output],
                    weight[axes.reduction]),
        node_(node),
        weight_(weight),
        make_problem_(make),
        turned_(axes.output < axes.reduction) {}

  int64_t element(int64_t group, int64_t output, int64_t k) const override {
    const int64_t within = turned_ ? output * depth() + k : k * outputs() + output;
    return group * outputs() * depth() + within;
  }

  int64_t rows(const Shape& data) const override {
    const MatmulProblem problem = make_problem_(node_, data, weight_);
    return problem.matrix.rows * std::ssize(problem.batch) / groups();
  }

  void gather(const Tensor& data, int64_t group, std::span<const int64_t> rows,
              float* out) const override {
    const MatmulProblem problem = make_problem_(node_, data.shape(), weight_);
    const MatrixShape& m = problem.matrix;
    std::vector<int64_t> matrices;  // of the data, that this one of the weight multiplies
    for (const MatmulProblem::Offsets& at : problem.batch) {
      if (at.b == group * m.depth * m.columns) matrices.push_back(at.a);
    }
    const float* values = data.data<float>().data();
    for (const int64_t row : rows) {
      const float* from =
          values + matrices[static_cast<size_t>(row / m.rows)] + row % m.rows * m.a_row;
      for (int64_t k = 0; k < m.depth; ++k) *out++ = from[k * m.a_step];
    }
  }

 private:
  const Node node_;
  const Shape weight_;
  const MakeProblem make_problem_;
  const bool turned_;  // [outputs, depth]
};

}  // namespace

std::unique_ptr<LayerMatrix> gemm_matrix(const Node& node, const Shape& weight) {
  return std::make_unique<ProductMatrix>(node, weight, weight_axes(node, weight), without_addend);
}

std::unique_ptr<LayerMatrix> matmul_matrix(const Node& node, const Shape& weight) {
  return std::make_unique<ProductMatrix>(node, weight, weight_axes(node, weight), matmul_problem);
}

}  // namespace nibble
