// The matrices that channels are mixed by.
#include "quant/orthogonal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/tensors.h"

namespace nibble {
namespace {

std::vector<double> column(const OrthogonalMix& mix, int64_t i) {
  std::vector<double> v(static_cast<size_t>(mix.width()), 0);
  v[static_cast<size_t>(i)] = 1;
  mix.apply(v);
  return v;
}

constexpr int64_t kWidths[] = {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 28, 36, 40, 48, 64, 80, 192};

TEST(orthogonal, columns_are_of_length_one_and_at_right_angles) {
  for (const int64_t width : kWidths) {
    const OrthogonalMix mix(width, 7);
    for (int64_t i = 0; i < width; ++i) {
      const std::vector<double> a = column(mix, i);
      for (int64_t j = 0; j <= i; ++j) {
        const std::vector<double> b = column(mix, j);
        const double product = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
        EXPECT_NEAR(product, i == j ? 1 : 0, 1e-12) << width << ": " << i << ' ' << j;
      }
    }
  }
}

TEST(orthogonal, what_is_the_same_for_all_channels_stays) {
  for (const int64_t width : kWidths) {
    const OrthogonalMix mix(width, 3);
    std::vector<double> ones(static_cast<size_t>(width), 1);
    mix.apply(ones);
    for (const double x : ones) EXPECT_NEAR(x, 1, 1e-12) << width;
  }
}

TEST(orthogonal, a_loud_channel_is_spread_over_all_others) {
  for (const int64_t width : {64, 192, 768, 1280, 7 * 64}) {
    const OrthogonalMix mix(width, 1);
    double largest = 0;
    for (int64_t i = 0; i < width; ++i) {
      for (const double x : column(mix, i)) largest = std::max(largest, std::abs(x));
    }
    EXPECT_LT(largest, 5 / std::sqrt(static_cast<double>(width))) << width;
  }
}

TEST(orthogonal, the_seed_decides) {
  const OrthogonalMix one(48, 1), same(48, 1), other(48, 2);
  EXPECT_EQ(column(one, 5), column(same, 5));
  EXPECT_NE(column(one, 5), column(other, 5));
}

}  // namespace
}  // namespace nibble
