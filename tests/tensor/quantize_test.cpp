#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "nibble/error.h"
#include "nibble/tensor.h"
#include "tensor/integers.h"

namespace nibble {
namespace {

QuantParams per_tensor(DType storage, int32_t qmin, int32_t qmax, float scale, int32_t zero_point) {
  return {
      .storage = storage, .qmin = qmin, .qmax = qmax, .scale = {scale}, .zero_point = {zero_point}};
}

TEST(quantize, ties_go_to_the_even_code) {
  const Tensor real = Tensor::of<float>({6}, {-2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F});
  const Tensor codes = quantize_tensor(real, per_tensor(DType::i8, -127, 127, 1.0F, 0));
  EXPECT_EQ(unpack_integers(codes), (std::vector<int32_t>{-2, -2, 0, 0, 2, 2}));
}

TEST(quantize, saturates_at_both_ends_and_at_infinity) {
  const float inf = std::numeric_limits<float>::infinity();
  const Tensor real = Tensor::of<float>({4}, {-inf, -1e30F, 1e30F, inf});
  const Tensor codes = quantize_tensor(real, per_tensor(DType::u8, 0, 255, 0.5F, 10));
  EXPECT_EQ(unpack_integers(codes), (std::vector<int32_t>{0, 0, 255, 255}));
}

TEST(quantize, zero_is_exact_for_every_zero_point) {
  for (int32_t zero = 0; zero < 256; ++zero) {
    const QuantParams params = per_tensor(DType::u8, 0, 255, 0.37F, zero);
    const Tensor codes = quantize_tensor(Tensor::scalar(0.0F), params);
    EXPECT_EQ(dequantize_tensor(codes, params).data<float>()[0], 0.0F);
  }
}

TEST(quantize, every_8_bit_code_survives_a_round_trip) {
  const QuantParams params = per_tensor(DType::u8, 0, 255, 0.1F, 128);
  std::vector<int32_t> all(256);
  for (int32_t i = 0; i < 256; ++i) all[static_cast<size_t>(i)] = i;
  const Tensor real = dequantize_tensor(pack_integers(DType::u8, {256}, all), params);
  EXPECT_EQ(unpack_integers(quantize_tensor(real, params)), all);
}

TEST(quantize, nan_is_refused) {
  EXPECT_THROW(
      quantize_tensor(Tensor::scalar(std::nanf("")), per_tensor(DType::i8, -127, 127, 1, 0)),
      Error);
}

TEST(quantize, block_groups_follow_the_axis) {
  const QuantParams params{.granularity = Granularity::per_block, .axis = 0, .block_size = 2};
  EXPECT_EQ(quant_groups(params, {5, 3}), 9);
  EXPECT_EQ(quant_group(params, {5, 3}, 0), 0);
  EXPECT_EQ(quant_group(params, {5, 3}, 4), 1);   // row 1, column 1
  EXPECT_EQ(quant_group(params, {5, 3}, 14), 8);  // row 4, column 2
}

TEST(quantize, per_channel_uses_its_own_scale) {
  const QuantParams params{
      .scale = {1.0F, 0.5F}, .zero_point = {0, 0}, .granularity = Granularity::per_channel};
  const Tensor codes = quantize_tensor(Tensor::of<float>({2, 2}, {1, 2, 1, 2}), params);
  EXPECT_EQ(unpack_integers(codes), (std::vector<int32_t>{1, 2, 2, 4}));
}

TEST(pack, int4_puts_the_low_nibble_first) {
  const std::vector<int32_t> values = {-8, 7, 3};
  const Tensor packed = pack_integers(DType::i4, {3}, values);
  ASSERT_EQ(packed.bytes(), 2U);
  EXPECT_EQ(static_cast<const uint8_t*>(packed.raw())[0], 0x78);
  EXPECT_EQ(static_cast<const uint8_t*>(packed.raw())[1], 0x03);
  EXPECT_EQ(unpack_integers(packed), values);
}

TEST(quantize, integers_are_unpacked_in_parts) {
  for (const DType dtype : {DType::i2, DType::u4, DType::i8, DType::u8, DType::i32}) {
    std::vector<int32_t> values(9001);
    const int32_t least = is_signed(dtype) ? -2 : 0;
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i * 7 % 4) + least;
    const Tensor tensor = pack_integers(dtype, {9001}, values);
    std::vector<int32_t> part(13), all;
    unpack_integers(tensor, 4099, part);
    EXPECT_TRUE(std::ranges::equal(part, std::span(values).subspan(4099, 13))) << name_of(dtype);
    for_each_part(tensor, [&](int64_t first, std::span<const int32_t> some) {
      EXPECT_EQ(first, std::ssize(all));
      all.insert(all.end(), some.begin(), some.end());
    });
    EXPECT_EQ(all, values) << name_of(dtype);
  }
}

TEST(half, every_finite_half_survives_a_round_trip) {
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const Half half{static_cast<uint16_t>(bits)};
    if ((bits & 0x7c00U) == 0x7c00U && (bits & 0x3ffU) != 0) continue;  // NaN
    EXPECT_EQ(to_half(to_float(half)).bits, bits);
  }
}

TEST(half, ties_round_to_even) {
  EXPECT_EQ(to_half(1.0F + 0x1.0p-11F).bits, 0x3c00);
  EXPECT_EQ(to_half(1.0F + 3 * 0x1.0p-11F).bits, 0x3c02);
  EXPECT_EQ(to_half(65520.0F).bits, 0x7c00);
  EXPECT_EQ(to_half(65519.0F).bits, 0x7bff);
}

}  // namespace
}  // namespace nibble
