#include "ops/support/codes.h"

#include "base/check.h"

namespace nibble {

std::optional<QuantParams> code_form(const TensorType& type) {
  if (!type.quant || type.dtype != DType::f32) return std::nullopt;
  QuantParams params = *type.quant;
  if (params.granularity != Granularity::per_tensor || bits_of(params.storage) > 8) {
    return std::nullopt;
  }
  const int shift = is_signed(params.storage) ? 128 : 0;
  params.storage = DType::u8;
  params.qmin += shift;
  params.qmax += shift;
  params.zero_point[0] += shift;
  params.axis = 0;
  return params;
}

Tensor code_form_of(const Value& constant) {
  check(code_form(constant.type).has_value(), "this constant has no u8 form");
  const int shift = is_signed(constant.type.quant->storage) ? 128 : 0;
  std::vector<int32_t> codes = unpack_integers(constant.data);
  for (int32_t& code : codes) code += shift;
  return pack_integers(DType::u8, constant.type.shape, codes);
}

Tensor real_form_of(const Value& constant) {
  return constant.type.quant ? dequantize_tensor(constant.data, *constant.type.quant)
                             : constant.data;
}

}  // namespace nibble
