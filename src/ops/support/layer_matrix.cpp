#include "ops/support/layer_matrix.h"

#include <array>
#include <string_view>

namespace nibble {
namespace {

struct MatrixRow {
  std::string_view op;
  std::unique_ptr<LayerMatrix> (*make)(const Node&, const Shape& weight);
};

// DeformConv is none: its data decide what is multiplied by what.
constexpr std::array kRows = {
    MatrixRow{"Conv", conv_matrix},
    MatrixRow{"ConvTranspose", conv_transpose_matrix},
    MatrixRow{"Gemm", gemm_matrix},
    MatrixRow{"MatMul", matmul_matrix},
};

}  // namespace

std::unique_ptr<LayerMatrix> layer_matrix(const Node& node, const Shape& weight) {
  for (const MatrixRow& row : kRows) {
    if (row.op == node.op && node.domain.empty()) return row.make(node, weight);
  }
  return nullptr;
}

}  // namespace nibble
