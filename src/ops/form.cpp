#include "ops/form.h"

#include "base/check.h"

namespace nibble {
namespace {

// Added to a code of `from` where it is stored as `to`: half the range, where the signs differ.
int32_t shift_between(DType from, DType to) {
  if (is_signed(from) == is_signed(to)) return 0;
  const int32_t half = 1 << (bits_of(to) - 1);
  return is_signed(to) ? -half : half;
}

}  // namespace

std::string to_string(const Form& form) {
  switch (form.kind) {
    case Form::Kind::real:
      break;
    case Form::Kind::codes:
      return std::string(name_of(form.grid->storage)) + " codes";
    case Form::Kind::packed:
      return "packed " + std::string(name_of(form.grid->storage));
  }
  return "real";
}

std::optional<Form> codes_form(const TensorType& type, DType storage) {
  if (!type.quant || type.dtype != DType::f32) return std::nullopt;
  QuantParams grid = *type.quant;
  if (grid.granularity != Granularity::per_tensor || bits_of(grid.storage) > bits_of(storage)) {
    return std::nullopt;
  }
  const int32_t shift = shift_between(grid.storage, storage);
  grid.storage = storage;
  grid.qmin += shift;
  grid.qmax += shift;
  grid.zero_point[0] += shift;
  grid.axis = 0;
  return Form::codes(std::move(grid));
}

Tensor codes_of(const Value& constant, const Form& form) {
  check(constant.type.quant && form.is_codes(), "this constant has no codes");
  const int32_t shift = shift_between(constant.type.quant->storage, form.grid->storage);
  std::vector<int32_t> codes = unpack_integers(constant.data);
  for (int32_t& code : codes) code += shift;
  return pack_integers(form.grid->storage, constant.type.shape, codes);
}

Tensor reals_of(const Value& constant) {
  return constant.type.quant ? dequantize_tensor(constant.data, *constant.type.quant)
                             : constant.data;
}

}  // namespace nibble
