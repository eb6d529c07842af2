// One pass over a run of reals, on every instruction set against the reference.
#include "kernels/survey.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "support/isa.h"

namespace nibble {
namespace {

// Of several magnitudes and both signs, a third of them zeros of both signs.
std::vector<float> values_of_any_size(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    const double size = std::ldexp(random.normal(), static_cast<int>(random.below(40)) - 30);
    value = random.below(3) == 0 ? std::copysign(0.0F, static_cast<float>(size))
                                 : static_cast<float>(size);
  }
  return values;
}

uint64_t bits(double value) { return std::bit_cast<uint64_t>(value); }

TEST(survey, is_the_same_bits_on_every_instruction_set) {
  for (size_t count = 1; count < 70; ++count) {
    const std::vector<float> values = values_of_any_size(count, count);
    const Survey expected = survey(values, Isa::reference);
    for (const Isa isa : testing::supported_isas()) {
      const Survey got = survey(values, isa);
      EXPECT_EQ(got.minimum, expected.minimum) << name_of(isa) << " " << count;
      EXPECT_EQ(got.maximum, expected.maximum) << name_of(isa) << " " << count;
      EXPECT_EQ(got.zeros, expected.zeros) << name_of(isa) << " " << count;
      EXPECT_EQ(bits(got.sum), bits(expected.sum)) << name_of(isa) << " " << count;
      EXPECT_EQ(bits(got.squares), bits(expected.squares)) << name_of(isa) << " " << count;
      EXPECT_TRUE(got.finite);
    }
  }
}

TEST(survey, sees_what_is_not_finite_at_every_place) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : testing::supported_isas()) {
    for (size_t place = 0; place < 11; ++place) {
      for (const float bad : {std::nanf(""), kInfinity, -kInfinity}) {
        std::vector<float> values(11, 1.0F);
        EXPECT_TRUE(survey(values, isa).finite);
        values[place] = bad;
        EXPECT_FALSE(survey(values, isa).finite) << name_of(isa) << " " << place << " " << bad;
      }
    }
  }
}

// floor() in double, by std::floor.
TEST(find_bins, rounds_down_exactly_for_every_width_that_is_a_power_of_two_and_leaves_zeros_out) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  for (const Isa isa : testing::supported_isas()) {
    for (const int exponent : {-110, -60, -11, 0, 3, 60, 117}) {
      const double width = std::ldexp(1.0, exponent);
      std::vector<float> values = {0.0F, -0.0F, kTiny, -kTiny, 1e-30F, -1e-30F};
      Random random(7);
      for (int i = 0; i < 200; ++i) {
        const double value = width * random.normal() * 300;
        values.push_back(static_cast<float>(value));
        values.push_back(static_cast<float>(width * std::floor(value / width)));  // an edge
        if (random.below(3) == 0) values.push_back(0.0F);
      }
      // What lies outside the histogram is not asked for.
      std::erase_if(values, [&](float v) { return !(std::abs(v / width) < 1e6); });
      std::vector<int32_t> bins(values.size()), right;
      for (const float value : values) {
        if (value != 0) {
          right.push_back(static_cast<int32_t>(std::floor(static_cast<double>(value) / width)));
        }
      }
      bins.resize(static_cast<size_t>(find_bins(values, width, bins.data(), isa)));
      EXPECT_EQ(bins, right) << name_of(isa) << " " << exponent;
    }
  }
}

}  // namespace
}  // namespace nibble
