// Products of 16-bit data with packed weights: every instruction set gives the reference's bits,
// and the reference gives what dequantized weights give.
#include "kernels/packed_int16.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

struct Product {
  PackedShape shape;
  int bits = 8;
  std::vector<int32_t> codes, zero;
  std::vector<float> scale, bias;

  Product(const PackedShape& packed, int weight_bits, bool is_signed, uint64_t seed)
      : shape(packed), bits(weight_bits) {
    Random random(seed);
    const int32_t span = bits == 4 ? 16 : 256;
    const int32_t low = is_signed ? -span / 2 : 0;
    const auto code = [&] {
      return low + static_cast<int32_t>(random.below(static_cast<uint64_t>(span)));
    };
    for (int64_t i = 0; i < shape.outputs * shape.depth(); ++i) codes.push_back(code());
    codes[0] = low;
    for (int64_t i = 0; i < shape.outputs * shape.blocks(); ++i) {
      scale.push_back(static_cast<float>(0.01 + random.uniform()));
      zero.push_back(code());
    }
    for (int64_t n = 0; n < shape.outputs; ++n) {
      bias.push_back(static_cast<float>(random.normal()));
    }
  }

  // What the definition of a block gives in double, and the sum of all magnitudes.
  std::pair<double, double> expected(int64_t n, const float* row) const {
    double sum = static_cast<double>(bias[static_cast<size_t>(n)]), magnitude = std::abs(sum);
    for (int64_t k = 0; k < shape.depth(); ++k) {
      const int64_t block =
          k / shape.length * shape.blocks_per_segment() + k % shape.length / shape.block;
      const auto group = static_cast<size_t>(n * shape.blocks() + block);
      const int32_t code = codes[static_cast<size_t>(n * shape.depth() + k)] - zero[group];
      const double weight = static_cast<double>(scale[group]) * code;
      sum += weight * static_cast<double>(row[k]);
      magnitude += std::abs(weight);
    }
    return {sum, magnitude};
  }
};

std::vector<float> normal(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

std::vector<float> run(const Product& p, Isa isa, const std::vector<float>& data, int64_t rows,
                       int threads) {
  const PackedInt16 product(p.shape, p.bits, p.codes, p.scale, p.zero, p.bias, isa);
  std::vector<float> out(static_cast<size_t>(rows * p.shape.outputs));
  AlignedBytes scratch(product.scratch_bytes(rows));
  ThreadPool pool(threads);
  product.run(data.data(), p.shape.depth(), rows, out.data(), p.shape.outputs, scratch.data(),
              pool);
  return out;
}

const std::vector<PackedShape>& shapes() {
  static const std::vector<PackedShape> all = {
      {1, 1, 1, 1},   {1, 1, 17, 32}, {3, 1, 31, 31}, {16, 1, 32, 32},  {5, 1, 33, 32},
      {8, 1, 64, 32}, {9, 1, 65, 16}, {17, 1, 96, 5}, {2, 9, 3, 3},     {7, 9, 16, 16},
      {6, 9, 40, 32}, {130, 1, 9, 9}, {150, 1, 3, 2}, {33, 1, 129, 128}};
  return all;
}

TEST(packed_int16, the_reference_is_the_product_with_dequantized_weights) {
  for (const PackedShape& shape : shapes()) {
    for (int bits : {4, 8}) {
      for (bool is_signed : {true, false}) {
        const Product p(shape, bits, is_signed, 7);
        const int64_t rows = 3, depth = shape.depth();
        const std::vector<float> data = normal(rows * depth, 8);
        const std::vector<float> got = run(p, Isa::reference, data, rows, 1);
        for (int64_t row = 0; row < rows; ++row) {
          const float* one = data.data() + row * depth;
          float largest = 0;
          for (int64_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs(one[k]));
          for (int64_t n = 0; n < shape.outputs; ++n) {
            const auto [want, magnitude] = p.expected(n, one);
            // Half a step of the data for each weight, and the rounding of f32.
            const double bound = magnitude * static_cast<double>(largest) * (0.5 / 32767 + 1e-6);
            EXPECT_NEAR(got[static_cast<size_t>(row * shape.outputs + n)], want, bound + 1e-6)
                << bits << " bits, depth " << depth;
          }
        }
      }
    }
  }
}

TEST(packed_int16, every_instruction_set_and_thread_count_gives_the_same_bits) {
  for (const IsaRow& isa : isa_table()) {
    if (!isa.is_supported()) continue;
    SCOPED_TRACE(isa.name);
    for (const PackedShape& shape : shapes()) {
      for (int bits : {4, 8}) {
        const Product p(shape, bits, shape.length % 2 == 0, 9);
        for (int64_t rows : {1, 2, 3, 5, 9, 19}) {
          const std::vector<float> data = normal(rows * shape.depth(), 10);
          const std::vector<float> want = run(p, Isa::reference, data, rows, 1);
          for (int threads : {1, 3}) {
            const std::vector<float> got = run(p, isa.isa, data, rows, threads);
            ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
                << bits << " bits, " << rows << " rows, length " << shape.length;
          }
        }
      }
    }
  }
}

// 255 * 32767 * 300 is beyond 32 bits, so that the data have to do with fewer.
TEST(packed_int16, sums_of_the_largest_weights_and_data_do_not_overflow) {
  Product p({17, 1, 1000, 1000}, 8, false, 1);
  std::ranges::fill(p.codes, 255);
  std::ranges::fill(p.zero, 0);
  std::ranges::fill(p.scale, 1.0F);
  std::ranges::fill(p.bias, 0.0F);
  const PackedInt16 packed(p.shape, p.bits, p.codes, p.scale, p.zero, p.bias, Isa::reference);
  EXPECT_EQ(packed.limit(), 2147483647 / 255000);
  const std::vector<float> data(1000, -3.0F);
  for (const IsaRow& isa : isa_table()) {
    if (!isa.is_supported()) continue;
    for (float x : run(p, isa.isa, data, 1, 1)) EXPECT_NEAR(x, -765000.0F, 1) << isa.name;
  }
}

TEST(packed_int16, rows_of_zeros_give_the_bias_and_rows_that_are_not_finite_give_nan) {
  const Product p({5, 1, 64, 32}, 8, true, 11);
  std::vector<float> data = normal(int64_t{4} * 64, 12);
  data[3] = std::numeric_limits<float>::quiet_NaN();
  data[64 + 9] = -std::numeric_limits<float>::infinity();
  std::fill_n(data.begin() + 128, 64, 0.0F);
  std::fill_n(data.begin() + 192, 64, 1e-38F);  // too small for a scale
  for (const IsaRow& isa : isa_table()) {
    if (!isa.is_supported()) continue;
    const std::vector<float> got = run(p, isa.isa, data, 4, 1);
    for (size_t i = 0; i < 10; ++i) EXPECT_TRUE(std::isnan(got[i])) << isa.name;
    for (size_t i = 10; i < 20; ++i) EXPECT_EQ(got[i], p.bias[i % 5]) << isa.name;
  }
}

TEST(packed_int16, four_bits_take_half_the_bytes_of_eight) {
  const PackedShape shape{64, 1, 1024, 1024};  // four panels
  const auto weights = [&](int bits) {
    const Product p(shape, bits, true, 1);
    const PackedInt16 packed(shape, bits, p.codes, p.scale, p.zero, p.bias, Isa::reference);
    return packed.constant_bytes() - 64 * (2 * sizeof(float) + sizeof(int32_t));
  };
  EXPECT_EQ(weights(8), 64U * 1024U);
  EXPECT_EQ(weights(4), 64U * 512U);
}

}  // namespace
}  // namespace nibble
