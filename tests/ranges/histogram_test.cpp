#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "nibble/error.h"
#include "nibble/ranges.h"

namespace nibble {
namespace {

std::vector<float> normal_values(size_t count, uint64_t seed, double mean = 0, double std = 1) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(mean + std * random.normal());
  return values;
}

Histogram histogram_of(std::span<const float> values) {
  Histogram histogram;
  histogram.add(values);
  return histogram;
}

TEST(histogram, does_not_depend_on_order_or_on_how_values_are_split) {
  std::vector<float> values = normal_values(5000, 1);
  values.push_back(1e-30F);
  values.push_back(-1e-30F);
  values.push_back(-73.0F);
  values.push_back(1000.0F);
  values.push_back(0.0F);
  const Histogram whole = histogram_of(values);
  Random random(2);
  for (int round = 0; round < 5; ++round) {
    random.shuffle(std::span(values));
    Histogram streamed, merged;
    for (size_t begin = 0; begin < values.size();) {
      const size_t count = std::min(values.size() - begin, size_t{1} + random.below(700));
      streamed.add(std::span(values).subspan(begin, count));
      merged.merge(histogram_of(std::span(values).subspan(begin, count)));
      begin += count;
    }
    EXPECT_EQ(streamed, whole);
    EXPECT_EQ(merged, whole);
  }
}

TEST(histogram, every_value_lies_in_the_bin_that_counts_it) {
  for (const double scale : {1e-20, 1e-3, 1.0, 3e30}) {
    const std::vector<float> values = normal_values(3000, 3, 0.3 * scale, scale);
    const Histogram histogram = histogram_of(values);
    std::vector<int64_t> counts(histogram.counts().size(), 0);
    for (const float value : values) {
      ++counts.at(
          static_cast<size_t>(std::floor(static_cast<double>(value) / histogram.bin_width()) -
                              histogram.low() / histogram.bin_width()));
    }
    EXPECT_EQ(counts, histogram.counts());
  }
}

TEST(histogram, never_holds_more_than_its_bins_and_uses_at_least_half) {
  Histogram histogram;
  float value = 1e-30F;
  for (int i = 0; i < 200; ++i, value *= 2) {
    const float pair[] = {value, -value / 3};
    histogram.add(pair);
    EXPECT_LE(histogram.counts().size(), static_cast<size_t>(Histogram::kBins));
    EXPECT_GE(histogram.counts().size(), static_cast<size_t>(Histogram::kBins / 2));
    if (value > 1e38F) break;
  }
  EXPECT_EQ(std::accumulate(histogram.counts().begin(), histogram.counts().end(), int64_t{0}),
            histogram.total());
}

TEST(histogram, may_begin_with_zeros_and_grow_to_anything) {
  Histogram histogram = histogram_of(std::vector<float>(4, 0.0F));
  const float values[] = {1.0F, -3e38F, 3e38F, 1e-38F};
  for (const float value : values) histogram.add({&value, 1});
  EXPECT_EQ(histogram.total(), 8);
  Histogram other = histogram_of(std::vector<float>(4, 0.0F));
  other.merge(histogram_of(values));
  EXPECT_EQ(histogram, other);
}

TEST(histogram, zero_is_an_edge) {
  const Histogram histogram = histogram_of(normal_values(1000, 4, 5, 0.1));
  const double bins_below_zero = -histogram.low() / histogram.bin_width();
  EXPECT_EQ(bins_below_zero, std::floor(bins_below_zero));
}

TEST(histogram, quantiles_of_a_ramp_are_the_ramp) {
  std::vector<float> ramp(10001);
  for (size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i) / 100.0F - 20.0F;
  const Histogram histogram = histogram_of(ramp);
  for (const double p : {0.0, 0.01, 0.25, 0.5, 0.9, 1.0}) {
    EXPECT_NEAR(histogram.quantile(p), 100 * p - 20, 2 * histogram.bin_width());
    EXPECT_NEAR(histogram.share_below(histogram.quantile(p)), p, 1e-3);
  }
}

TEST(histogram, holds_constants_zeros_and_nothing) {
  const Histogram empty;
  EXPECT_EQ(empty.total(), 0);
  EXPECT_EQ(empty.quantile(0.5), 0);
  EXPECT_EQ(empty.share_below(1), 0);
  Histogram merged = histogram_of(std::vector<float>(7, 0.0F));
  EXPECT_EQ(merged.total(), 7);
  merged.merge(empty);
  EXPECT_EQ(merged.total(), 7);
  const Histogram constant = histogram_of(std::vector<float>(9, -4.5F));
  EXPECT_EQ(constant.total(), 9);
  EXPECT_NEAR(constant.quantile(0.5), -4.5, constant.bin_width());
}

TEST(histogram, refuses_nan_and_infinity_and_stays_as_it_was) {
  Histogram histogram = histogram_of(std::vector<float>{1, 2, 3});
  const Histogram before = histogram;
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (size_t place = 0; place < 6; ++place) {
      std::vector<float> values(6, 1.0F);
      values[place] = bad;
      EXPECT_THROW(histogram.add(values), Error);
    }
  }
  EXPECT_EQ(histogram, before);
}

TEST(moments, agree_with_two_passes) {
  for (const double mean : {0.0, 1000.0, -1e6}) {
    const std::vector<float> values = normal_values(4001, 5, mean, 2);
    Moments moments;
    for (size_t begin = 0; begin < values.size(); begin += 123) {
      moments.add(std::span(values).subspan(begin, std::min<size_t>(123, values.size() - begin)));
    }
    double sum = 0, squares = 0;
    for (const float value : values) sum += value;
    const double exact_mean = sum / static_cast<double>(values.size());
    for (const float value : values) squares += (value - exact_mean) * (value - exact_mean);
    EXPECT_EQ(moments.count, 4001);
    EXPECT_NEAR(moments.mean, exact_mean, 1e-9 * std::max(1.0, std::abs(mean)));
    EXPECT_NEAR(moments.m2, squares, 1e-8 * squares);
    EXPECT_EQ(moments.minimum, *std::ranges::min_element(values));
    EXPECT_EQ(moments.maximum, *std::ranges::max_element(values));
  }
}

TEST(moments, merging_equals_adding) {
  const std::vector<float> values = normal_values(999, 6);
  Moments whole, left, right;
  whole.add(values);
  left.add(std::span(values).first(100));
  right.add(std::span(values).subspan(100));
  left.merge(right);
  EXPECT_EQ(left.count, whole.count);
  EXPECT_NEAR(left.mean, whole.mean, 1e-12);
  EXPECT_NEAR(left.m2, whole.m2, 1e-9);
  Moments empty;
  empty.merge(whole);
  EXPECT_EQ(empty.mean, whole.mean);
  whole.merge({});
  EXPECT_EQ(empty.m2, whole.m2);
}

TEST(moments, count_zeros_of_both_signs_and_know_constants) {
  Moments moments;
  moments.add(std::vector<float>{0.0F, -0.0F, 1.0F, 0.0F, -1.0F});
  EXPECT_EQ(moments.zeros, 3);
  Moments constant;
  constant.add(std::vector<float>(77, 0.1F));
  EXPECT_EQ(constant.stddev(), 0);
  EXPECT_EQ(constant.minimum, 0.1F);
  EXPECT_EQ(constant.maximum, 0.1F);
}

TEST(moments, refuse_nan_naming_its_place) {
  Moments moments;
  std::vector<float> values(10, 1.0F);
  values[7] = std::nanf("");
  try {
    moments.add(values);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "element 7 is NaN");
  }
  EXPECT_EQ(moments.count, 0);
}

}  // namespace
}  // namespace nibble
