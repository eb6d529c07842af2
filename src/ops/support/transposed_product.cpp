#include "ops/support/transposed_product.h"

#include "base/check.h"
#include "ops/support/onednn.h"

namespace nibble {

void multiply_transposed(const TransposedProduct& p) {
  const onednn::SingleThreaded single;
  const auto status = dnnl_sgemm('T', 'N', p.height, p.width, p.rows, 1.0F, p.a, p.stride, p.b,
                                 p.stride, 0.0F, p.out, p.width);
  check(status == dnnl_success, "oneDNN multiplies matrices");
}

}  // namespace nibble
