#include "ops/support/onnx_dtype.h"

#include <array>
#include <utility>

#include "base/check.h"

namespace nibble {

DType dtype_of_onnx(int64_t code) {
  static constexpr std::array<std::pair<int64_t, DType>, 17> kCodes = {{
      {1, DType::f32},
      {2, DType::u8},
      {3, DType::i8},
      {4, DType::u16},
      {5, DType::i16},
      {6, DType::i32},
      {7, DType::i64},
      {9, DType::boolean},
      {10, DType::f16},
      {11, DType::f64},
      {12, DType::u32},
      {13, DType::u64},
      {16, DType::bf16},
      {21, DType::u4},
      {22, DType::i4},
      {25, DType::u2},
      {26, DType::i2},
  }};
  for (const auto& [known, dtype] : kCodes) {
    if (known == code) return dtype;
  }
  fail(ErrorCode::unsupported,
       "element type {} is not supported (strings, complex numbers and floats of 8 bits and less "
       "are not)",
       code);
}

}  // namespace nibble
