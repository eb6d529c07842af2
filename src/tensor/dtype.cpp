#include <array>
#include <bit>

#include "base/check.h"
#include "nibble/tensor.h"

namespace nibble {
namespace {

struct DTypeRow {
  std::string_view name;
  int bits;
  bool is_float;
  bool is_integer;
  bool is_signed;
};

constexpr std::array<DTypeRow, 18> kRows = {{
    {"undefined", 0, false, false, false},
    {"f32", 32, true, false, false},
    {"f64", 64, true, false, false},
    {"f16", 16, true, false, false},
    {"bf16", 16, true, false, false},
    {"i64", 64, false, true, true},
    {"i32", 32, false, true, true},
    {"i16", 16, false, true, true},
    {"i8", 8, false, true, true},
    {"i4", 4, false, true, true},
    {"i2", 2, false, true, true},
    {"u64", 64, false, true, false},
    {"u32", 32, false, true, false},
    {"u16", 16, false, true, false},
    {"u8", 8, false, true, false},
    {"u4", 4, false, true, false},
    {"u2", 2, false, true, false},
    {"bool", 8, false, false, false},
}};

const DTypeRow& row(DType dtype) { return kRows[static_cast<size_t>(dtype)]; }

}  // namespace

int bits_of(DType dtype) { return row(dtype).bits; }
std::string_view name_of(DType dtype) { return row(dtype).name; }
bool is_float(DType dtype) { return row(dtype).is_float; }
bool is_integer(DType dtype) { return row(dtype).is_integer; }
bool is_signed(DType dtype) { return row(dtype).is_signed; }

std::optional<DType> dtype_named(std::string_view name) {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int64_t lowest_of(DType dtype) {
  check(is_integer(dtype) && bits_of(dtype) <= 32,
        "lowest_of needs an integer type of at most 32 bits");
  return is_signed(dtype) ? -(int64_t{1} << (bits_of(dtype) - 1)) : 0;
}

int64_t highest_of(DType dtype) {
  check(is_integer(dtype) && bits_of(dtype) <= 32,
        "highest_of needs an integer type of at most 32 bits");
  return (int64_t{1} << (bits_of(dtype) - (is_signed(dtype) ? 1 : 0))) - 1;
}

int QuantParams::bits() const {
  return static_cast<int>(std::bit_width(static_cast<uint64_t>(int64_t{qmax} - int64_t{qmin})));
}

float to_float(BFloat16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

BFloat16 to_bfloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return {static_cast<uint16_t>((bits >> 16) | 0x40U)};
  bits += 0x7fffU + ((bits >> 16) & 1U);
  return {static_cast<uint16_t>(bits >> 16)};
}

float to_float(Half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000U) << 16;
  const uint32_t exponent = (value.bits >> 10) & 0x1fU;
  const uint32_t mantissa = value.bits & 0x3ffU;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1.0p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0xffU : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

Half to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000U);
  const uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return {static_cast<uint16_t>(sign | 0x7e00U)};
  if (magnitude >= 0x477ff000U)
    return {static_cast<uint16_t>(sign | 0x7c00U)};  // rounds to infinity
  if (magnitude < 0x38800000U) {  // subnormal half: let the float adder round at the right bit
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U))};
  }
  const uint32_t rounded = magnitude + 0xfffU + ((magnitude >> 13) & 1U);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000U) >> 13))};
}

}  // namespace nibble
