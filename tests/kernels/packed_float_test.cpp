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
  bool is_signed = true;
  std::vector<int32_t> codes, zero;
  std::vector<float> scale, bias;

  Product(const PackedShape& packed, int weight_bits, bool has_signed_codes, uint64_t seed)
      : shape(packed), bits(weight_bits), is_signed(has_signed_codes) {
    Random random(seed);
    const int32_t span = bits == 4 ? 16 : 256;
    const int32_t low = is_signed ? -span / 2 : 0;
    const auto code = [&] {
      return low + static_cast<int32_t>(random.below(static_cast<uint64_t>(span)));
    };
    for (int64_t i = 0; i < shape.outputs * shape.segments * shape.length; ++i) {
      codes.push_back(code());
    }
    for (int64_t i = 0; i < shape.outputs * shape.blocks(); ++i) {
      scale.push_back(static_cast<float>(0.01 + random.uniform()));
      zero.push_back(code());
    }
    for (int64_t n = 0; n < shape.outputs; ++n) {
      bias.push_back(static_cast<float>(random.normal()));
    }
  }

  PackedFloat packed(Isa isa, float low = -kInfinity, float high = kInfinity) const {
    const auto row = [this](int64_t n, std::span<int32_t> to) {
      std::copy_n(codes.begin() + n * shape.depth(), to.size(), to.begin());
    };
    return PackedFloat(shape, {row, bits, is_signed, scale, zero, bias}, low, high, isa);
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
  const AlignedBytes scratch(product.scratch_bytes(rows));
  product.run(data.data(), p.shape.depth(), rows, out.data(), p.shape.outputs, scratch.data(),
              pool);
  return out;
}

const std::vector<PackedShape>& shapes() {
  static const std::vector<PackedShape> all = {
      {1, 1, 1, 1},   {1, 1, 17, 32},    {3, 1, 31, 31},   {4, 1, 32, 32}, {5, 1, 33, 32},
      {8, 1, 64, 32}, {9, 1, 65, 16},    {17, 1, 96, 48},  {2, 9, 3, 3},   {7, 9, 16, 16},
      {6, 9, 40, 32}, {33, 1, 129, 128}, {70, 1, 300, 300}};
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
                        2e-4 * std::max(1.0, std::abs(want)))
                << bits << " bits, depth " << depth;
          }
        }
      }
    }
  }
}

// Root mean square errors, against sums in double of the same numbers: a quarter more at most where
// sums are short, a fraction where they are long.
TEST(packed_float, it_is_as_accurate_as_sums_in_floats) {
  for (const PackedShape& shape : {PackedShape{64, 1, 4096, 4096}, PackedShape{64, 1, 1024, 128},
                                   PackedShape{64, 1, 512, 32}, PackedShape{64, 1, 96, 32}}) {
    for (int bits : {4, 8}) {
      const Product p(shape, bits, true, 13);
      const std::vector<float> data = normal(shape.depth(), 14);
      const std::vector<float> got = run(p, Isa::reference, data, 1, 1);
      double error = 0, float_error = 0;
      for (int64_t n = 0; n < shape.outputs; ++n) {
        float sum = 0;
        for (int64_t k = 0; k < shape.depth(); ++k) {
          const auto group = static_cast<size_t>(n * shape.blocks() + k / shape.block);
          const auto at = static_cast<size_t>(n * shape.depth() + k);
          sum += static_cast<float>(p.codes[at] - p.zero[group]) * p.scale[group] *
                 data[static_cast<size_t>(k)];
        }
        sum += p.bias[static_cast<size_t>(n)];
        const double want = p.expected(n, data);
        error += std::pow(static_cast<double>(got[static_cast<size_t>(n)]) - want, 2);
        float_error += std::pow(static_cast<double>(sum) - want, 2);
      }
      const double bound = shape.depth() < 512 ? 1.25 : shape.depth() < 4096 ? 1.0 : 0.5;
      EXPECT_LE(std::sqrt(error), bound * std::sqrt(float_error))
          << bits << " bits, depth " << shape.depth() << ", blocks of " << shape.block;
    }
  }
}

// As long as nothing has to be rounded.
TEST(packed_float, integers_times_powers_of_two_are_exact) {
  for (int bits : {4, 8}) {
    Product p({3, 1, 300, 150}, bits, true, 15);
    std::ranges::fill(p.scale, 0.25F);
    std::ranges::fill(p.bias, 0.5F);
    std::vector<float> data(300);
    Random random(16);
    for (float& x : data) x = static_cast<float>(random.below(101)) * 8 - 400;
    const std::vector<float> got = run(p, Isa::reference, data, 1, 1);
    for (int64_t n = 0; n < 3; ++n) {
      EXPECT_EQ(static_cast<double>(got[static_cast<size_t>(n)]), p.expected(n, data));
    }
  }
}

// The largest codes, and data beside which the unit has to grow: numbers next to 2^23 units, tiny
// and huge ones, and whole rows of the largest.
TEST(packed_float, extremes_give_the_same_bits_on_every_instruction_set) {
  const float edge = 1 + static_cast<float>(0x7efefe) / (1 << 23);  // kMostInteger / 2^22
  const std::vector<float> of_note = {edge,       -edge, std::nextafter(edge, 2.0F),
                                      1.9999999F, -1.0F, 1e-38F,
                                      1e-45F,     3e38F, -3.4e38F,
                                      1e30F,      0.0F,  -0.0F};
  for (int bits : {4, 8}) {
    for (bool is_signed : {true, false}) {
      Product p({17, 1, 280, 140}, bits, is_signed, 17);
      const int32_t span = 1 << bits, low = is_signed ? -span / 2 : 0;
      for (size_t i = 0; i < p.codes.size(); ++i) p.codes[i] = i % 3 == 0 ? low : low + span - 1;
      for (size_t i = 0; i < p.zero.size(); ++i) p.zero[i] = i % 2 == 0 ? low : low + span - 1;
      std::vector<float> data;
      for (const float largest : of_note) {
        for (int i = 0; i < 280; ++i) data.push_back(i % 5 == 4 ? -largest : largest);
      }
      Random random(18);
      for (int i = 0; i < 280; ++i) data.push_back(of_note[random.below(of_note.size())]);
      const auto rows = static_cast<int64_t>(data.size()) / 280;
      const std::vector<float> want = run(p, Isa::reference, data, rows, 1);
      for (const IsaRow& isa : isa_table()) {
        if (!isa.is_supported()) continue;
        const std::vector<float> got = run(p, isa.isa, data, rows, 1);
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_TRUE(std::memcmp(&got[i], &want[i], sizeof(float)) == 0 ||
                      (std::isnan(got[i]) && std::isnan(want[i])))
              << isa.name << ", " << bits << " bits, row " << i / 17;
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
        Product p(shape, bits, shape.length % 2 == 0, 9);
        if (shape.outputs % 2 == 0) std::ranges::fill(p.zero, p.zero[0]);
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

TEST(packed_float, memory_is_codes_and_scales_and_zero_points_that_differ) {
  const PackedShape shape{64, 1, 1024, 128};
  constexpr size_t kOfBiases = 64 * sizeof(float), kGroups = 64 * 8;
  for (int bits : {4, 8}) {
    Product p(shape, bits, true, 1);
    const size_t codes = size_t{64} * 1024 / (bits == 4 ? 2 : 1);
    EXPECT_EQ(p.packed(Isa::reference).constant_bytes(), codes + kGroups * 5 + kOfBiases);
    std::ranges::fill(p.zero, 0);
    EXPECT_EQ(p.packed(Isa::reference).constant_bytes(), codes + kGroups * 4 + kOfBiases);
  }
}

}  // namespace
}  // namespace nibble
