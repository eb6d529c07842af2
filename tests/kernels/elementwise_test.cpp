#include "kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/layout.h"
#include "support/isa.h"

namespace nibble {
namespace {

const std::vector<Isa> kAll = testing::all_isas();
constexpr int64_t kSizes[] = {0,  1,  2,  3,  5,  7,  8,   9,   15,  16,   17,
                              31, 32, 33, 63, 64, 65, 127, 128, 129, 50001};

std::vector<uint8_t> random_codes(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(256));
  return codes;
}

// All pairs of codes, a in the outer loop.
struct AllPairs {
  std::vector<uint8_t> a;
  std::vector<uint8_t> b;
  AllPairs() {
    for (int i = 0; i < 65536; ++i) {
      a.push_back(static_cast<uint8_t>(i / 256));
      b.push_back(static_cast<uint8_t>(i % 256));
    }
  }
};

// run(isa, pool) gives the same bytes for every instruction set and thread count.
template <typename Run>
void expect_same(const Run& run) {
  ThreadPool one;
  const auto expected = run(Isa::reference, one);
  for (const Isa isa : kAll) {
    if (!is_supported(isa)) continue;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      ASSERT_EQ(run(isa, pool), expected) << name_of(isa) << ", " << threads << " threads";
    }
  }
}

TEST(add_u8, equals_the_reference_for_all_pairs_of_codes) {
  const AllPairs pairs;
  for (const AddParams& params :
       {AddParams{.a_zero = 3, .b_zero = 250, .out_zero = 128, .a_ratio = 0.37F, .b_ratio = 0.61F},
        AddParams{.a_zero = 0, .b_zero = 0, .out_zero = 0, .a_ratio = 0.5F, .b_ratio = -0.5F},
        AddParams{.out_zero = 10, .a_ratio = 1e30F, .b_ratio = -1e30F, .qmin = 10, .qmax = 200}}) {
    expect_same([&](Isa isa, ThreadPool& pool) {
      std::vector<uint8_t> out(65536);
      add_u8(params, BinaryShape::same(65536), pairs.a.data(), pairs.b.data(), out.data(), pool,
             isa);
      return out;
    });
  }
}

TEST(add_u8, ties_round_to_the_even_code) {
  ThreadPool pool;
  const std::vector<uint8_t> a = {0, 1, 2, 3, 4, 5};
  const std::vector<uint8_t> b(6, 0);
  for (const Isa isa : kAll) {
    if (!is_supported(isa)) continue;
    std::vector<uint8_t> out(6);
    add_u8({.out_zero = 1, .a_ratio = 0.5F, .b_ratio = 1}, BinaryShape::same(6), a.data(), b.data(),
           out.data(), pool, isa);
    // 0, 0.5, 1, 1.5, 2, 2.5, plus the zero point 1
    EXPECT_EQ(out, (std::vector<uint8_t>{1, 1, 2, 3, 3, 3})) << name_of(isa);
  }
}

TEST(add_u8, broadcasts_scalars_and_channels) {
  const std::vector<uint8_t> a = random_codes(2 * 3 * 300, 1);
  const std::vector<uint8_t> b = random_codes(2 * 300, 2);
  const AddParams params{
      .a_zero = 5, .b_zero = 9, .out_zero = 100, .a_ratio = 0.4F, .b_ratio = 0.3F};
  const BinaryShape channels{{2, 3, 300}, {900, 300, 1}, {300, 0, 1}};
  const BinaryShape scalar{{2, 3, 300}, {900, 300, 1}, {0, 0, 0}};
  for (const BinaryShape& shape : {channels, scalar}) {
    const auto run = [&](Isa isa, ThreadPool& pool) {
      std::vector<uint8_t> out(1800);
      add_u8(params, shape, a.data(), b.data(), out.data(), pool, isa);
      return out;
    };
    expect_same(run);
    ThreadPool pool;
    const std::vector<uint8_t> out = run(best_isa(), pool);
    for (int64_t i = 0; i < 1800; ++i) {
      const int64_t at = i / 900 * shape.b_step[0] + i % 300 * shape.b_step[2];
      uint8_t expected = 0;
      add_u8(params, BinaryShape::same(1), &a[static_cast<size_t>(i)], &b[static_cast<size_t>(at)],
             &expected, pool, Isa::reference);
      ASSERT_EQ(out[static_cast<size_t>(i)], expected) << i;
    }
  }
}

TEST(mul_u8, equals_the_reference_for_all_pairs_of_codes) {
  const AllPairs pairs;
  for (const MulParams& params :
       {MulParams{.a_zero = 3, .b_zero = 250, .out_zero = 128, .multiplier = 0.0071F},
        MulParams{.multiplier = 0.5F}, MulParams{.a_zero = 255, .multiplier = 1e30F}}) {
    expect_same([&](Isa isa, ThreadPool& pool) {
      std::vector<uint8_t> out(65536);
      mul_u8(params, BinaryShape::same(65536), pairs.a.data(), pairs.b.data(), out.data(), pool,
             isa);
      return out;
    });
  }
}

TEST(requantize_u8, equals_the_reference_and_copies_between_rows) {
  for (const int64_t inner : kSizes) {
    if (inner > 1000) continue;
    const std::vector<uint8_t> in = random_codes(5 * (inner + 3), 3);
    for (const RequantizeParams& params :
         {RequantizeParams{}, RequantizeParams{.in_zero = 7, .out_zero = 100, .ratio = 1.7F},
          RequantizeParams{.ratio = 0.5F, .qmin = 3, .qmax = 50}}) {
      expect_same([&](Isa isa, ThreadPool& pool) {
        std::vector<uint8_t> out(static_cast<size_t>(5 * (inner + 7)), 99);
        requantize_u8(params,
                      {.rows = 5, .inner = inner, .in_step = inner + 3, .out_step = inner + 7},
                      in.data(), out.data(), pool, isa);
        return out;
      });
    }
  }
}

TEST(table_u8, looks_up_every_code) {
  std::array<uint8_t, 256> table;
  for (size_t i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(i * 167 + 13);
  for (const int64_t size : kSizes) {
    std::vector<uint8_t> in = random_codes(size, 4);
    for (size_t i = 0; i < in.size() && i < 256; ++i) in[i] = static_cast<uint8_t>(i);
    expect_same([&](Isa isa, ThreadPool& pool) {
      std::vector<uint8_t> out(in.size());
      table_u8(table, in.data(), out.data(), size, pool, isa);
      return out;
    });
    ThreadPool pool;
    std::vector<uint8_t> out = in;
    table_u8(table, out.data(), out.data(), size, pool);
    for (size_t i = 0; i < in.size(); ++i) ASSERT_EQ(out[i], table[in[i]]);
  }
}

TEST(quantize_u8, equals_the_reference_at_ties_ends_and_for_nan) {
  std::vector<float> in;
  for (int i = -700; i <= 700; ++i) in.push_back(static_cast<float>(i) * 0.25F);
  const float inf = std::numeric_limits<float>::infinity();
  for (const float v : {inf, -inf, std::nanf(""), 3e38F, -3e38F, 1e-40F, -0.0F}) in.push_back(v);
  Random random(5);
  for (int i = 0; i < 20000; ++i) in.push_back(static_cast<float>(random.normal() * 20));
  for (const QuantizeParams& params :
       {QuantizeParams{.scale = 0.5F, .zero_point = 128}, QuantizeParams{.scale = 0.3F},
        QuantizeParams{.scale = 0.1F, .zero_point = 10, .qmin = 4, .qmax = 19}}) {
    expect_same([&](Isa isa, ThreadPool& pool) {
      std::vector<uint8_t> out(in.size());
      quantize_u8(params, in.data(), out.data(), static_cast<int64_t>(in.size()), pool, isa);
      return out;
    });
  }
}

TEST(dequantize_u8, is_exact_for_every_code) {
  std::vector<uint8_t> in(256);
  for (size_t i = 0; i < 256; ++i) in[i] = static_cast<uint8_t>(i);
  for (const int32_t zero_point : {0, 7, 128, 255}) {
    const auto run = [&](Isa isa, ThreadPool& pool) {
      std::vector<float> out(256);
      dequantize_u8(0.37F, zero_point, in.data(), out.data(), 256, pool, isa);
      return out;
    };
    expect_same(run);
    ThreadPool pool;
    const std::vector<float> out = run(best_isa(), pool);
    for (int32_t i = 0; i < 256; ++i)
      ASSERT_EQ(out[static_cast<size_t>(i)], 0.37F * static_cast<float>(i - zero_point));
  }
}

template <typename T>
void expect_transposed(const LayoutShape& shape) {
  ThreadPool pool(2);
  const auto count = static_cast<size_t>(shape.elements());
  std::vector<T> first(count);
  for (size_t i = 0; i < count; ++i) first[i] = static_cast<T>(i * 37 % 251);
  std::vector<T> last(count);
  to_channels_last(shape, first.data(), last.data(), pool);
  for (int64_t n = 0; n < shape.batch; ++n) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t s = 0; s < shape.spatial; ++s)
        ASSERT_EQ(last[static_cast<size_t>((n * shape.spatial + s) * shape.channels + c)],
                  first[static_cast<size_t>((n * shape.channels + c) * shape.spatial + s)]);
    }
  }
  std::vector<T> back(count);
  to_channels_first(shape, last.data(), back.data(), pool);
  ASSERT_EQ(back, first);
}

TEST(layout, transposes_both_ways) {
  for (const int64_t channels : {1, 2, 3, 4, 5, 16, 17, 65}) {
    for (const int64_t spatial : {1, 3, 63, 64, 65, 700}) {
      expect_transposed<uint8_t>({2, channels, spatial});
      expect_transposed<float>({2, channels, spatial});
    }
  }
}

TEST(layout, quantizes_and_dequantizes_on_the_way) {
  const LayoutShape shape{2, 3, 333};
  Random random(6);
  std::vector<float> in(static_cast<size_t>(shape.elements()));
  for (float& v : in) v = static_cast<float>(random.normal());
  const QuantizeParams params{.scale = 0.03F, .zero_point = 120};
  ThreadPool pool;
  std::vector<uint8_t> codes(in.size());
  std::vector<uint8_t> expected(in.size());
  quantize_u8(params, in.data(), codes.data(), shape.elements(), pool, Isa::reference);
  to_channels_last(shape, codes.data(), expected.data(), pool);
  std::vector<float> reals(in.size());
  std::vector<float> expected_reals(in.size());
  dequantize_u8(0.03F, 120, codes.data(), expected_reals.data(), shape.elements(), pool,
                Isa::reference);
  for (const Isa isa : kAll) {
    if (!is_supported(isa)) continue;
    std::vector<uint8_t> out(in.size());
    quantize_to_channels_last(params, shape, in.data(), out.data(), pool, isa);
    ASSERT_EQ(out, expected) << name_of(isa);
    dequantize_to_channels_first(0.03F, 120, shape, out.data(), reals.data(), pool, isa);
    ASSERT_EQ(reals, expected_reals) << name_of(isa);
  }
}

}  // namespace
}  // namespace nibble
