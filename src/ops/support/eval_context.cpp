#include <cstring>

#include "base/check.h"
#include "ops/op.h"

namespace nibble {

void detail::fail_missing(std::string_view what, size_t i, size_t count) {
  fail(ErrorCode::invalid_model, "{} {} is missing: there are {}", what, i, count);
}

Tensor& EvalContext::output(size_t i, DType dtype, const Shape& shape) {
  if (i >= outputs_.size()) detail::fail_missing("output", i, outputs_.size());
  Tensor& slot = outputs_[i];
  if (slot.dtype() != dtype || !(slot.shape() == shape)) slot = Tensor(dtype, shape);
  return slot;
}

void EvalContext::set_output(size_t i, const Tensor& tensor) {
  if (i >= outputs_.size()) detail::fail_missing("output", i, outputs_.size());
  Tensor& slot = outputs_[i];
  if (slot.dtype() == tensor.dtype() && slot.shape() == tensor.shape()) {
    if (slot.raw() != tensor.raw() && tensor.bytes() > 0)
      std::memcpy(slot.raw(), tensor.raw(), tensor.bytes());
    return;
  }
  slot = tensor.clone();
}

}  // namespace nibble
