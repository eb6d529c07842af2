#include "kernels/qproduct.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "nibble/error.h"
#include "support/isa.h"

namespace nibble {
namespace {

std::vector<uint8_t> random_codes(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(256));
  return codes;
}

// Straight from the definition.
std::vector<int32_t> sums(const QProduct::Shape& s, const std::vector<uint8_t>& a,
                          const std::vector<uint8_t>& b) {
  std::vector<int32_t> result;
  for (const QProduct::Pair& pair : s.pairs) {
    for (int64_t m = 0; m < s.rows; ++m) {
      for (int64_t n = 0; n < s.columns; ++n) {
        int32_t sum = 0;
        for (int64_t k = 0; k < s.depth; ++k) {
          sum += (a[static_cast<size_t>(pair.a + m * s.depth + k)] - s.a_zero_point) *
                 (b[static_cast<size_t>(pair.b + k * s.columns + n)] - s.b_zero_point);
        }
        result.push_back(sum);
      }
    }
  }
  return result;
}

void expect_exact(int64_t rows, int64_t depth, int64_t columns, int32_t a_zero, int32_t b_zero) {
  QProduct::Shape shape{.rows = rows,
                        .depth = depth,
                        .columns = columns,
                        .pairs = {{0, depth * columns}, {rows * depth, 0}, {0, 0}},
                        .a_elements = 2 * rows * depth,
                        .a_zero_point = a_zero,
                        .b_zero_point = b_zero};
  const auto a = random_codes(shape.a_elements, static_cast<uint64_t>(rows * 7 + depth));
  const auto b = random_codes(2 * depth * columns, static_cast<uint64_t>(columns * 5 + depth));
  const std::vector<int32_t> expected = sums(shape, a, b);
  OutputStage stage{.multiplier = {3.1e-4F}, .zero_point = 99};
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    for (const auto kind : {OutputStage::Kind::codes_u8, OutputStage::Kind::reals_f32}) {
      stage.kind = kind;
      const QProduct product(shape, stage, isa);
      ThreadPool pool(1 + static_cast<int>(rows % 3));
      std::vector<uint8_t> workspace(product.workspace_bytes() + 64);
      auto* aligned =
          reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
      std::vector<uint8_t> codes(expected.size());
      std::vector<float> reals(expected.size());
      const bool gives_codes = kind == OutputStage::Kind::codes_u8;
      product.run(a.data(), b.data(), gives_codes ? static_cast<void*>(codes.data()) : reals.data(),
                  aligned, pool);
      for (size_t i = 0; i < expected.size(); ++i) {
        if (gives_codes) {
          ASSERT_EQ(codes[i], to_code(stage, expected[i], 0)) << name_of(isa) << " " << i;
        } else {
          ASSERT_EQ(reals[i], to_real(stage, expected[i], 0)) << name_of(isa) << " " << i;
        }
      }
    }
  }
}

TEST(qproduct, equals_the_definition_for_awkward_sizes) {
  for (const int64_t rows : {1, 2, 5, 7, 13, 14, 33}) {
    for (const int64_t depth : {1, 3, 4, 5, 31, 64}) {
      for (const int64_t columns : {1, 7, 16, 17, 33, 65}) {
        expect_exact(rows, depth, columns, static_cast<int32_t>(rows * 6), 131);
      }
    }
  }
}

TEST(qproduct, equals_the_definition_for_any_zero_points) {
  for (const int32_t a_zero : {0, 128, 255}) {
    for (const int32_t b_zero : {0, 127, 128, 255}) expect_exact(6, 37, 19, a_zero, b_zero);
  }
}

TEST(qproduct, is_exact_at_the_largest_depth) {
  const int64_t depth = QProduct::kMaxDepth;
  const std::vector<uint8_t> a(static_cast<size_t>(depth), 255);
  const std::vector<uint8_t> b(static_cast<size_t>(depth), 0);
  const OutputStage stage{.kind = OutputStage::Kind::reals_f32, .multiplier = {1}};
  ThreadPool pool(1);
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    const QProduct product({.rows = 1,
                            .depth = depth,
                            .columns = 1,
                            .pairs = {{0, 0}},
                            .a_elements = depth,
                            .a_zero_point = 0,
                            .b_zero_point = 255},
                           stage, isa);
    std::vector<uint8_t> workspace(product.workspace_bytes() + 64);
    auto* aligned =
        reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
    float out = 0;
    product.run(a.data(), b.data(), &out, aligned, pool);
    EXPECT_EQ(out, static_cast<float>(-depth * 255 * 255)) << name_of(isa);
  }
}

TEST(qproduct, what_may_overflow_or_is_empty_is_refused) {
  const OutputStage stage{.multiplier = {1}};
  EXPECT_THROW(QProduct({.depth = QProduct::kMaxDepth + 1}, stage), Error);
  EXPECT_THROW(QProduct({.rows = 0}, stage), Error);
  EXPECT_THROW(QProduct({.b_zero_point = 256}, stage), Error);
}

}  // namespace
}  // namespace nibble
