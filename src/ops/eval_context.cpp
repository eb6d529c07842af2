#include <cstring>

#include "ops/op.h"

namespace nibble {

Tensor& EvalContext::output(size_t i, DType dtype, const Shape& shape) {
  Tensor& slot = outputs_[i];
  if (slot.dtype() != dtype || !(slot.shape() == shape)) slot = Tensor(dtype, shape);
  return slot;
}

void EvalContext::set_output(size_t i, const Tensor& tensor) {
  Tensor& slot = outputs_[i];
  if (slot.dtype() == tensor.dtype() && slot.shape() == tensor.shape()) {
    if (slot.raw() != tensor.raw() && tensor.bytes() > 0)
      std::memcpy(slot.raw(), tensor.raw(), tensor.bytes());
    return;
  }
  slot = tensor.clone();
}

}  // namespace nibble
