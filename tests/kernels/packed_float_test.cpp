// Products with packed weights: every instruction set gives the reference's bits, and the reference
// gives what dequantized weights give.
#include "kernels/packed_float.h"

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

constexpr float kInfinity = std::numeric_limits<float>::infinity();

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
    for (int64_t i = 0; i < shape.outputs * shape.segments * shape.length; ++i) {
      codes.push_back(code());
    }
    codes[0] = low;
    for (int64_t i = 0; i < shape.outputs * shape.blocks(); ++i) {
      scale.push_back(static_cast<float>(0.01 + random.uniform()));
      zero.push_back(code());
    }
    for (int64_t n = 0; n < shape.outputs; ++n) {
      bias.push_back(static_cast<float>(random.normal()));
    }
  }

  PackedFloat packed(Isa isa, float low = -kInfinity, float high = kInfinity) const {
    return PackedFloat(shape, bits, codes, scale, zero, bias, low, high, isa);
  }
  // In double, from the definition of a block.
  double expected(int64_t n, const std::vector<float>& row) const {
    double sum = static_cast<double>(bias[static_cast<size_t>(n)]);
    const int64_t depth = shape.segments * shape.length;
    for (int64_t k = 0; k < depth; ++k) {
      const int64_t block =
          k / shape.length * shape.blocks_per_segment() + k % shape.length / shape.block;
      const auto group = static_cast<size_t>(n * shape.blocks() + block);
      const int32_t code = codes[static_cast<size_t>(n * depth + k)] - zero[group];
      sum += static_cast<double>(scale[group]) * code *
             static_cast<double>(row[static_cast<size_t>(k)]);
    }
    return sum;
  }
};

std::vector<float> normal(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

std::vector<float> run(const Product& p, Isa isa, const std::vector<float>& data, int64_t rows,
                       int threads, float low = -kInfinity, float high = kInfinity) {
  const PackedFloat product = p.packed(isa, low, high);
  std::vector<float> out(static_cast<size_t>(rows * p.shape.outputs));
  ThreadPool pool(threads);
  product.run(data.data(), p.shape.depth(), rows, out.data(), p.shape.outputs, pool);
  return out;
}

const std::vector<PackedShape>& shapes() {
  static const std::vector<PackedShape> all = {{1, 1, 1, 1},   {1, 1, 17, 32},  {3, 1, 31, 31},
                                               {4, 1, 32, 32}, {5, 1, 33, 32},  {8, 1, 64, 32},
                                               {9, 1, 65, 16}, {17, 1, 96, 48}, {2, 9, 3, 3},
                                               {7, 9, 16, 16}, {6, 9, 40, 32},  {33, 1, 129, 128}};
  return all;
}

TEST(packed_float, the_reference_is_the_product_with_dequantized_weights) {
  for (const PackedShape& shape : shapes()) {
    for (int bits : {4, 8}) {
      for (bool is_signed : {true, false}) {
        const Product p(shape, bits, is_signed, 7);
        const int64_t rows = 3, depth = shape.segments * shape.length;
        const std::vector<float> data = normal(rows * depth, 8);
        const std::vector<float> got = run(p, Isa::reference, data, rows, 1);
        for (int64_t row = 0; row < rows; ++row) {
          const std::vector<float> one(data.begin() + row * depth,
                                       data.begin() + (row + 1) * depth);
          for (int64_t n = 0; n < shape.outputs; ++n) {
            const double want = p.expected(n, one);
            EXPECT_NEAR(got[static_cast<size_t>(row * shape.outputs + n)], want,
                        1e-3 * std::max(1.0, std::abs(want)))
                << bits << " bits, depth " << depth;
          }
        }
      }
    }
  }
}

TEST(packed_float, every_instruction_set_and_thread_count_gives_the_same_bits) {
  for (const IsaRow& isa : isa_table()) {
    if (!isa.is_supported()) continue;
    SCOPED_TRACE(isa.name);
    for (const PackedShape& shape : shapes()) {
      for (int bits : {4, 8}) {
        const Product p(shape, bits, shape.length % 2 == 0, 9);
        for (int64_t rows : {1, 2, 3, 5, 9, 19}) {
          const std::vector<float> data = normal(rows * shape.segments * shape.length, 10);
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

TEST(packed_float, results_are_held_within_bounds_and_nan_stays_nan) {
  const Product p({5, 1, 64, 32}, 4, true, 11);
  std::vector<float> data = normal(4 * 64, 12);
  data[0] = std::numeric_limits<float>::quiet_NaN();
  for (const IsaRow& isa : isa_table()) {
    if (!isa.is_supported()) continue;
    const std::vector<float> got = run(p, isa.isa, data, 4, 1, -1, 2);
    for (size_t i = 0; i < got.size(); ++i) {
      if (i < 5) {
        EXPECT_TRUE(std::isnan(got[i])) << isa.name;
      } else {
        EXPECT_GE(got[i], -1.0F);
        EXPECT_LE(got[i], 2.0F);
      }
    }
  }
}

TEST(packed_float, four_bits_take_half_the_bytes_of_eight) {
  const PackedShape shape{64, 1, 1024, 1024};  // four panels
  const auto weights = [&](int bits) {
    const PackedFloat packed = Product(shape, bits, true, 1).packed(Isa::reference);
    return packed.constant_bytes() - 64 * (2 * sizeof(float) + sizeof(int32_t));
  };
  EXPECT_EQ(weights(8), 64U * 1024U);
  EXPECT_EQ(weights(4), 64U * 512U);
}

}  // namespace
}  // namespace nibble
