// The transposition of planes: every element of it, and nothing beside it.
#include "kernels/transpose_plane.h"

#include <gtest/gtest.h>

#include <vector>

namespace nibble {
namespace {

template <typename T>
class TransposePlane : public ::testing::Test {};
using ElementTypes = ::testing::Types<uint8_t, uint16_t, uint32_t, uint64_t>;
TYPED_TEST_SUITE(TransposePlane, ElementTypes);

// A plane of rows x columns in the midst of a larger target.
template <typename T>
void expect_transposed(int64_t rows, int64_t columns, int64_t source_step, int64_t target_step) {
  constexpr T kUntouched = 255;
  std::vector<T> source(static_cast<size_t>(columns * source_step));
  for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<T>(i % 251);
  std::vector<T> target(static_cast<size_t>(rows * target_step), kUntouched);
  transpose_plane(source.data(), source_step, target.data(), target_step, rows, columns);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < target_step; ++j) {
      const T expected =
          j < columns ? source[static_cast<size_t>(j * source_step + i)] : kUntouched;
      ASSERT_EQ(target[static_cast<size_t>(i * target_step + j)], expected)
          << rows << "x" << columns << " at " << i << ", " << j;
    }
  }
}

TYPED_TEST(TransposePlane, moves_each_element_to_its_place_and_writes_no_other) {
  for (const int64_t rows : {1, 2, 3, 4, 7, 8, 15, 16, 17, 64, 65, 100}) {
    for (const int64_t columns : {1, 3, 4, 5, 8, 9, 16, 31, 33, 64, 129}) {
      expect_transposed<TypeParam>(rows, columns, rows, columns);
      expect_transposed<TypeParam>(rows, columns, rows + 3, columns + 200);
      expect_transposed<TypeParam>(rows, columns, rows + 200, columns + 1);
    }
  }
}

}  // namespace
}  // namespace nibble
