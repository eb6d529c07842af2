// The vectorizable functions against the C library in double precision.
#include "kernels/vector_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace nibble {
namespace {

template <typename F, typename G>
double worst_relative_error(F fast, G exact, float low, float high) {
  double worst = 0;
  constexpr int kSteps = 1000000;
  for (int i = 0; i <= kSteps; ++i) {
    const float x = low + (high - low) * (static_cast<float>(i) / kSteps);
    const double truth = exact(static_cast<double>(x));
    if (truth == 0) continue;
    worst = std::max(worst, std::fabs((static_cast<double>(fast(x)) - truth) / truth));
  }
  return worst;
}

TEST(vector_math, relative_errors_stay_below_3e_minus_7) {
  EXPECT_LT(worst_relative_error(
                exp_f32, [](double x) { return std::exp(x); }, -87, 88),
            3e-7);
  EXPECT_LT(worst_relative_error(
                tanh_f32, [](double x) { return std::tanh(x); }, -12, 12),
            3e-7);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_LT(worst_relative_error(sigmoid_f32, sigmoid, -80, 80), 3e-7);
  const auto erf = [](double x) { return std::erf(x); };
  EXPECT_LT(worst_relative_error(erf_f32, erf, -1, 1), 3e-7);
  EXPECT_LT(worst_relative_error(erf_f32, erf, -6, 6), 3e-7);
  EXPECT_LT(worst_relative_error(erf_f32, erf, -1e-30F, 1e-30F), 3e-7);
}

// Left of zero GELU is the difference of numbers near 1: its error is small beside x, not beside
// itself.
TEST(vector_math, gelu_is_right_to_3e_minus_7_of_its_argument) {
  for (int i = -100000; i <= 100000; ++i) {
    const float x = static_cast<float>(i) * 1e-4F;
    const double wide = static_cast<double>(x), bound = 3e-7 * std::max(std::fabs(wide), 1e-3);
    EXPECT_NEAR(gelu_f32(x), 0.5 * wide * (1 + std::erf(wide * std::sqrt(0.5))), bound) << x;
    const double inner = std::sqrt(2 / std::acos(-1.0)) * (wide + 0.044715 * wide * wide * wide);
    EXPECT_NEAR(gelu_tanh_f32(x), 0.5 * wide * (1 + std::tanh(inner)), bound) << x;
  }
}

TEST(vector_math, far_ends_saturate_and_nan_stays) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(tanh_f32(inf), 1.0F);
  EXPECT_EQ(tanh_f32(-inf), -1.0F);
  EXPECT_EQ(erf_f32(inf), 1.0F);
  EXPECT_EQ(erf_f32(-inf), -1.0F);
  EXPECT_EQ(erf_f32(5.0F), 1.0F);
  EXPECT_TRUE(std::isnan(erf_f32(std::nanf(""))));
  EXPECT_EQ(gelu_f32(inf), inf);
  EXPECT_EQ(sigmoid_f32(inf), 1.0F);
  EXPECT_NEAR(sigmoid_f32(-inf), 0.0F, 1e-37F);
  EXPECT_EQ(exp_f32(0), 1.0F);
  EXPECT_TRUE(std::isnan(exp_f32(std::nanf(""))));
  EXPECT_TRUE(std::isnan(tanh_f32(std::nanf(""))));
  EXPECT_TRUE(std::isnan(sigmoid_f32(std::nanf(""))));
}

}  // namespace
}  // namespace nibble
