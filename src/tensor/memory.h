// What cannot be held need not be planned.
#pragma once

#include "nibble/tensor.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Throws Error{invalid_model} naming the type and its size if a tensor of this type and static
/// shape is larger than the memory of this machine.
void require_memory(DType dtype, const Shape& shape);

}  // namespace nibble
#pragma GCC visibility pop
