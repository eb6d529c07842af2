#include "ops/support/blas.h"

#include "base/check.h"
#include "ops/support/onednn.h"

namespace nibble {

void multiply_transposed(const TransposedProduct& p) {
  const onednn::SingleThreaded single;
  const auto status = dnnl_sgemm('T', 'N', p.height, p.width, p.rows, 1.0F, p.a, p.stride, p.b,
                                 p.stride, 0.0F, p.out, p.width);
  check(status == dnnl_success, "oneDNN multiplies matrices");
}

void multiply_vector(const VectorProduct& p) {
  const onednn::SingleThreaded single;
  const auto status = dnnl_sgemm('N', 'T', 1, p.rows, p.columns, 1.0F, p.vector, p.columns,
                                 p.matrix, p.columns, 0.0F, p.out, p.rows);
  check(status == dnnl_success, "oneDNN multiplies matrices");
}

}  // namespace nibble
