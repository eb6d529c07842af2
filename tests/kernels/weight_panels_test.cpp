#include "kernels/weight_panels.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "kernels/isa_table.h"
#include "nibble/isa.h"

namespace nibble {
namespace {

int64_t run_of(const std::vector<int8_t>& row, const QuadShape& shape) {
  WeightBounds bounds;
  bounds.add(row, shape);
  return bounds.run;
}

// Straight from the definition: the products of 255 with all weights of one sign.
bool fits(const std::vector<int8_t>& row, const QuadShape& shape, int64_t run) {
  for (int64_t s = 0; s < shape.segments; ++s) {
    for (int64_t first = 0; first < shape.segment_quads(); first += run) {
      for (int64_t pair = 0; pair < 2; ++pair) {
        int64_t above = 0, below = 0;
        for (int64_t q = first; q < std::min(first + run, shape.segment_quads()); ++q) {
          for (int64_t i = 4 * q + 2 * pair; i < 4 * q + 2 * pair + 2 && i < shape.segment; ++i) {
            const int64_t w = row[static_cast<size_t>(s * shape.segment + i)];
            (w > 0 ? above : below) += 255 * w;
          }
        }
        if (above > 32767 || below < -32768) return false;
      }
    }
  }
  return true;
}

TEST(weight_panels, a_pair_of_products_may_just_fit_16_bits) {
  const QuadShape quad{1, 4};
  EXPECT_EQ(run_of({64, 64, -64, -64}, quad), WeightBounds::kLongestRun);
  EXPECT_EQ(run_of({1, 127, -1, -127}, quad), WeightBounds::kLongestRun);
  EXPECT_EQ(run_of({127, -128, -128, 127}, quad), WeightBounds::kLongestRun);
  EXPECT_EQ(run_of({65, 64, 0, 0}, quad), 0);
  EXPECT_EQ(run_of({0, 0, 2, 127}, quad), 0);
  EXPECT_EQ(run_of({-64, -65, 0, 0}, quad), 0);
  EXPECT_EQ(run_of({0, 127, 127, 0}, quad), WeightBounds::kLongestRun);  // not a pair
}

TEST(weight_panels, what_is_left_of_16_bits_is_for_the_next_quads) {
  const std::vector<int8_t> row(64, 8);
  EXPECT_EQ(run_of(row, {1, 64}), 8);
  EXPECT_EQ(run_of(row, {2, 32}), WeightBounds::kLongestRun);  // sums end with their segment
  EXPECT_EQ(run_of(std::vector<int8_t>(64, 9), {1, 64}), 4);
  EXPECT_EQ(run_of(std::vector<int8_t>(64, -64), {1, 64}), 1);
  EXPECT_EQ(run_of(std::vector<int8_t>(64, 33), {1, 64}), 1);
  EXPECT_EQ(run_of(std::vector<int8_t>(64, 32), {1, 64}), 2);
}

TEST(weight_panels, smaller_codes_leave_more_room) {
  const auto run = [](int32_t greatest_code, int8_t weight) {
    WeightBounds bounds{.greatest_code = greatest_code};
    bounds.add(std::vector<int8_t>(4096, weight), {1, 4096});
    return bounds.run;
  };
  EXPECT_EQ(run(255, 127), 0);
  EXPECT_EQ(run(127, 127), 1);   // 2 * 127 * 127 = 32258
  EXPECT_EQ(run(128, -128), 0);  // -32768 fits, but the bound is the same for both signs
  EXPECT_EQ(run(15, 127), 8);    // 16 * 127 * 15 = 30480
  EXPECT_EQ(run(15, 8), 128);
  EXPECT_EQ(run(1, 1), WeightBounds::kLongestRun);
}

TEST(weight_panels, runs_are_the_longest_that_fit) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const QuadShape shape{1 + static_cast<int64_t>(random.below(3)),
                          1 + static_cast<int64_t>(random.below(70))};
    const auto limit = static_cast<int>(1 + random.below(80));
    std::vector<int8_t> row(static_cast<size_t>(shape.depth()));
    for (int8_t& w : row) {
      w = static_cast<int8_t>(static_cast<int>(random.below(static_cast<uint64_t>(2 * limit + 1))) -
                              limit);
    }
    const int64_t run = run_of(row, shape);
    if (run > 0) {
      EXPECT_TRUE(fits(row, shape, run)) << i;
    }
    if (run < WeightBounds::kLongestRun) {
      EXPECT_FALSE(fits(row, shape, run == 0 ? 1 : 2 * run)) << i;
    }
  }
}

TEST(weight_panels, a_panel_has_the_run_of_its_worst_channel) {
  WeightBounds bounds;
  bounds.add(std::vector<int8_t>(128, 4), {1, 128});
  EXPECT_EQ(bounds.run, 16);
  bounds.add(std::vector<int8_t>(128, -16), {1, 128});
  EXPECT_EQ(bounds.run, 4);
  bounds.add(std::vector<int8_t>(128, 1), {1, 128});
  EXPECT_EQ(bounds.run, 4);
  EXPECT_EQ(bounds.low, -16);
  EXPECT_EQ(bounds.high, 4);
  EXPECT_EQ(bounds.magnitudes, 2048);
}

// The weights that a form holds, read back from its order.
int unpacked(const MicroForm& form, int64_t lanes, const std::byte* segment, int64_t channel,
             int64_t i) {
  const int64_t quad = i / 4, in_quad = i % 4;
  switch (form.format) {
    case WeightFormat::nibbles: {
      const auto byte = static_cast<int>(segment[quad / 2 * lanes * 4 + channel * 4 + in_quad]);
      return (quad % 2 == 0 ? byte & 15 : byte >> 4) - 8;
    }
    case WeightFormat::quads_s8:
      return static_cast<int8_t>(segment[quad * lanes * 4 + channel * 4 + in_quad]);
    case WeightFormat::pairs_s16:
      break;
  }
  const auto* pairs = reinterpret_cast<const int16_t*>(segment + quad * lanes * 8);
  return pairs[in_quad % 2 * lanes * 2 + channel * 2 + in_quad / 2];
}

TEST(weight_panels, every_form_holds_the_weights_and_pads_with_zeros) {
  Random random(5);
  for (const IsaRow& row : isa_table()) {
    if (row.micro == nullptr) continue;
    const MicroKernels& kernels = row.micro();
    for (const MicroForm& form : kernels.forms) {
      for (const QuadShape shape : {QuadShape{1, 4}, QuadShape{2, 7}, QuadShape{3, 12}}) {
        const int64_t channels = kernels.lanes - 1;
        std::vector<int8_t> rows(static_cast<size_t>(channels * shape.depth()));
        for (int8_t& w : rows) w = static_cast<int8_t>(static_cast<int>(random.below(16)) - 8);
        const int64_t size = block_bytes(form, kernels.lanes, shape);
        std::vector<int16_t> memory(static_cast<size_t>(size / 2), -1);
        auto* block = reinterpret_cast<std::byte*>(memory.data());
        pack_block(form, kernels.lanes, shape, rows, block);
        for (int64_t c = 0; c < kernels.lanes; ++c) {
          for (int64_t s = 0; s < shape.segments; ++s) {
            for (int64_t i = 0; i < shape.segment_quads() * 4; ++i) {
              const bool exists = c < channels && i < shape.segment;
              const int expected =
                  exists ? rows[static_cast<size_t>(c * shape.depth() + s * shape.segment + i)] : 0;
              EXPECT_EQ(unpacked(form, kernels.lanes, block + s * size / shape.segments, c, i),
                        expected);
            }
          }
        }
      }
    }
  }
}

TEST(weight_panels, a_panel_lies_in_the_best_form_that_is_right_for_it) {
  if (!is_supported(Isa::avx2)) GTEST_SKIP();
  const MicroKernels& kernels = isa_row(Isa::avx2).micro();
  const auto form_of = [&](int8_t weight) {
    WeightBounds bounds;
    bounds.add(std::vector<int8_t>(256, weight), {1, 256});
    return form_for(kernels, bounds);
  };
  EXPECT_EQ(form_of(7).format, WeightFormat::nibbles);
  EXPECT_EQ(form_of(-8).format, WeightFormat::nibbles);
  EXPECT_EQ(form_of(8).format, WeightFormat::quads_s8);
  EXPECT_GT(form_of(8).least_run, 1);
  EXPECT_EQ(form_of(64).format, WeightFormat::quads_s8);
  EXPECT_EQ(form_of(64).least_run, 1);
  EXPECT_EQ(form_of(-65).format, WeightFormat::pairs_s16);
}

// Products of nibbles are shifted left, so they leave 32 bits earlier.
TEST(weight_panels, sums_that_leave_32_bits_when_shifted_take_another_form) {
  if (isa_table().back().isa != Isa::avx512_vnni) GTEST_SKIP();
  const MicroKernels& kernels = isa_row(Isa::avx512_vnni).micro();
  WeightBounds bounds{.low = -8, .high = 7, .magnitudes = ((1LL << 31) - 1) / 255 / 16};
  EXPECT_EQ(form_for(kernels, bounds).format, WeightFormat::nibbles);
  ++bounds.magnitudes;
  EXPECT_EQ(form_for(kernels, bounds).format, WeightFormat::quads_s8);
}

}  // namespace
}  // namespace nibble
