#include "report/resampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace nibble {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

SetValue mean_of(const std::vector<double>& values) {
  return [&values](std::span<const uint32_t> counts) {
    double sum = 0, n = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (counts[i] > 0) sum += counts[i] * values[i];
      n += counts[i];
    }
    return sum / n;
  };
}

// The share of simulated experiments of `samples` draws whose interval holds the true mean.
template <typename Draw>
double coverage_of_the_mean(int samples, double truth, const Draw& draw) {
  constexpr int kExperiments = 2000;
  Random random(11);
  int covered = 0;
  for (int experiment = 0; experiment < kExperiments; ++experiment) {
    std::vector<double> values;
    for (int i = 0; i < samples; ++i) values.push_back(draw(random));
    const Interval interval = bootstrap_interval(
        samples, mean_of(values), {.resamples = 500, .seed = static_cast<uint64_t>(experiment)});
    if (interval.low <= truth && truth <= interval.high) ++covered;
  }
  return static_cast<double>(covered) / kExperiments;
}

// The standard error of a coverage of 95 % over 2,000 experiments is 0.5 points.
TEST(Bootstrap, covers_the_mean_of_normal_samples_in_95_of_100_experiments) {
  const double share = coverage_of_the_mean(50, 0, [](Random& random) { return random.normal(); });
  EXPECT_GT(share, 0.92);
  EXPECT_LT(share, 0.98);
}

TEST(Bootstrap, covers_the_mean_of_skewed_samples_nearly_as_often) {
  const double share =
      coverage_of_the_mean(60, 1, [](Random& random) { return -std::log(1 - random.uniform()); });
  EXPECT_GT(share, 0.91);
  EXPECT_LT(share, 0.98);
}

TEST(Bootstrap, agrees_with_the_normal_interval_of_a_large_sample) {
  Random random(3);
  std::vector<double> values;
  double sum = 0, squares = 0;
  for (int i = 0; i < 2000; ++i) values.push_back(5 + 2 * random.normal());
  for (const double value : values) sum += value;
  const double mean = sum / 2000;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const double reach = 1.96 * std::sqrt(squares / 1999 / 2000);
  const Interval interval = bootstrap_interval(2000, mean_of(values), {.resamples = 4000});
  EXPECT_NEAR(interval.low, mean - reach, 0.1 * reach);
  EXPECT_NEAR(interval.high, mean + reach, 0.1 * reach);
}

TEST(Bootstrap, is_the_same_for_the_same_seed_at_any_number_of_threads) {
  Random random(5);
  std::vector<double> values;
  for (int i = 0; i < 37; ++i) values.push_back(random.normal());
  const auto with = [&](uint64_t seed, int threads) {
    return bootstrap_interval(37, mean_of(values), {.seed = seed, .threads = threads});
  };
  const Interval expected = with(1, 1);
  for (const int threads : {2, 5}) {
    EXPECT_EQ(with(1, threads).low, expected.low);
    EXPECT_EQ(with(1, threads).high, expected.high);
  }
  EXPECT_NE(with(2, 1).low, expected.low);
}

TEST(Bootstrap, of_equal_values_is_that_value) {
  const std::vector<double> values(10, 4.0);
  const Interval interval = bootstrap_interval(10, mean_of(values));
  EXPECT_EQ(interval.low, 4);
  EXPECT_EQ(interval.high, 4);
}

TEST(Bootstrap, of_fewer_than_two_samples_has_no_bounds) {
  const std::vector<double> values = {4.0};
  const Interval interval = bootstrap_interval(1, mean_of(values));
  EXPECT_EQ(interval.low, -kInfinity);
  EXPECT_EQ(interval.high, kInfinity);
}

TEST(Bootstrap, keeps_infinite_values_in_their_order) {
  const std::vector<double> values = {1, 2, 3, 4, 5, 6, 7, 8, 9, kInfinity};
  const Interval interval = bootstrap_interval(10, mean_of(values));
  EXPECT_TRUE(std::isfinite(interval.low));
  EXPECT_EQ(interval.high, kInfinity);
}

TEST(Bootstrap, a_value_that_is_not_defined_has_no_interval) {
  const std::vector<double> values = {1, std::nan(""), 3};
  EXPECT_TRUE(std::isnan(bootstrap_interval(3, mean_of(values)).low));
}

TEST(Bootstrap, leaves_out_resamples_without_a_value_unless_most_have_none) {
  const auto with_undefined = [](int share) {
    return bootstrap_interval(8, [share](std::span<const uint32_t> counts) {
      uint32_t most = 0;
      for (const uint32_t count : counts) most = std::max(most, count);
      const bool defined = static_cast<int>(most) <= share;
      return defined ? static_cast<double>(counts[0]) : std::nan("");
    });
  };
  EXPECT_GE(with_undefined(3).low, 0);           // a count of 4 is rare
  EXPECT_EQ(with_undefined(1).low, -kInfinity);  // counts of 1 alone are, too
}

TEST(Bootstrap, draws_groups_as_a_whole) {
  const ResampleOptions options{.seed = 9, .groups = {5, 5, 5, 2, 2, 7}};
  for (int64_t draw = 0; draw < 50; ++draw) {
    const std::vector<uint32_t> counts = draw_counts(6, options, draw);
    ASSERT_EQ(counts.size(), 6U);
    EXPECT_EQ(counts[0], counts[1]);
    EXPECT_EQ(counts[0], counts[2]);
    EXPECT_EQ(counts[3], counts[4]);
    EXPECT_EQ(counts[0] + counts[3] + counts[5], 3U);
  }
}

// Samples that repeat within their group say no more than the groups do.
TEST(Bootstrap, groups_of_equal_samples_give_the_interval_of_the_groups) {
  Random random(8);
  std::vector<double> single, repeated;
  std::vector<int64_t> groups;
  for (int i = 0; i < 30; ++i) {
    single.push_back(random.normal());
    for (int k = 0; k < 10; ++k) repeated.push_back(single.back());
    for (int k = 0; k < 10; ++k) groups.push_back(i);
  }
  const Interval alone = bootstrap_interval(30, mean_of(single));
  const Interval grouped = bootstrap_interval(300, mean_of(repeated), {.groups = groups});
  EXPECT_NEAR(grouped.low, alone.low, 1e-9);
  EXPECT_NEAR(grouped.high, alone.high, 1e-9);
}

// Of 999 values 1..999 about 500: the 2.5 % and the 97.5 % ones.
TEST(BiasCorrected, without_bias_is_the_percentile_interval) {
  std::vector<double> resampled;
  for (int i = 1; i <= 999; ++i) resampled.push_back(i);
  const Interval interval = bias_corrected_interval(500, resampled, 0.95);
  EXPECT_EQ(interval.low, 25);
  EXPECT_EQ(interval.high, 975);
}

// Three quarters of the resampled values are below: both ends move up by twice the deviate 0.6745.
TEST(BiasCorrected, moves_both_ends_by_the_bias) {
  std::vector<double> resampled;
  for (int i = 1; i <= 9999; ++i) resampled.push_back(i);
  const Interval interval = bias_corrected_interval(7500, resampled, 0.95);
  EXPECT_NEAR(interval.low, 10000 * 0.27060, 2);   // Phi(1.34898 - 1.95996)
  EXPECT_NEAR(interval.high, 10000 * 0.99953, 2);  // Phi(1.34898 + 1.95996)
}

}  // namespace
}  // namespace nibble
