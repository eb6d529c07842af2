// Element types as attributes name them (`to`, `dtype`, `output_dtype`): TensorProto.DataType.
#pragma once

#include <cstdint>

#include "nibble/tensor.h"

namespace nibble {

/// Throws Error{unsupported} for strings, complex numbers and floats of 8 bits and less.
DType dtype_of_onnx(int64_t code);

}  // namespace nibble
