#include "report/statistics.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/evaluate.h"

namespace nibble {
namespace {

// Reference values from SciPy 1.17 (scipy.stats.beta.cdf, binomtest) unless another source is
// named.

TEST(IncompleteBeta, equals_references) {
  EXPECT_NEAR(incomplete_beta(0.5, 0.5, 0.3), 0.369010119565545, 1e-13);
  EXPECT_NEAR(incomplete_beta(2, 3, 0.4), 0.5248, 1e-14);
  EXPECT_NEAR(incomplete_beta(493, 8, 0.98), 0.217493080871174, 1e-12);
  EXPECT_NEAR(incomplete_beta(1000, 1000, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(incomplete_beta(1e5, 1e5, 0.501), 0.814453255442442, 1e-9);
  EXPECT_EQ(incomplete_beta(3, 4, 0), 0);
  EXPECT_EQ(incomplete_beta(3, 4, 1), 1);
}

TEST(NormalQuantile, equals_tables) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-15);
  EXPECT_NEAR(normal_quantile(0.005), -2.5758293035489004, 1e-14);
}

struct Proportion {
  int64_t successes, trials;
  double low, high;
};

TEST(BinomialInterval, equals_references) {
  const Proportion cases[] = {{0, 10, 0, 0.308497107819},
                              {10, 10, 0.691502892181, 1},
                              {1, 10, 0.002528578544, 0.445016117028},
                              {8, 10, 0.443904537692, 0.974789273673},
                              {492, 500, 0.968717998311, 0.993067678798},
                              {4423, 5000, 0.875418618718, 0.893329620953},
                              {500, 500, 0.992649389948, 1},
                              {0, 1, 0, 0.975},
                              {50000, 100000, 0.496896062492, 0.503103937508}};
  for (const Proportion& c : cases) {
    const Interval interval = binomial_interval(c.successes, c.trials);
    EXPECT_NEAR(interval.low, c.low, 1e-10) << c.successes << " of " << c.trials;
    EXPECT_NEAR(interval.high, c.high, 1e-10) << c.successes << " of " << c.trials;
  }
  EXPECT_NEAR(binomial_interval(8, 10, 0.99).low, 0.351798833695, 1e-10);
  EXPECT_NEAR(binomial_interval(8, 10, 0.99).high, 0.989149490620, 1e-10);
}

TEST(BinomialInterval, of_nothing_is_everything) {
  EXPECT_EQ(binomial_interval(0, 0).low, 0);
  EXPECT_EQ(binomial_interval(0, 0).high, 1);
  EXPECT_THROW(binomial_interval(3, 2), InternalError);
}

TEST(MedianInterval, has_the_ranks_of_the_binomial_distribution) {
  const auto ranks = [](int n) {
    std::vector<double> values;
    for (int i = n; i > 0; --i) values.push_back(i);
    return median_interval(values);
  };
  // Tables of the distribution-free interval: Conover, Practical Nonparametric Statistics.
  EXPECT_EQ(ranks(6).low, 1);
  EXPECT_EQ(ranks(6).high, 6);
  EXPECT_EQ(ranks(10).low, 2);
  EXPECT_EQ(ranks(10).high, 9);
  EXPECT_EQ(ranks(20).low, 6);
  EXPECT_EQ(ranks(20).high, 15);
  EXPECT_EQ(ranks(100).low, 40);
  EXPECT_EQ(ranks(100).high, 61);
  EXPECT_EQ(ranks(1).low, 1);
  EXPECT_EQ(ranks(1).high, 1);
}

TEST(McNemar, equals_references) {
  EXPECT_NEAR(mcnemar_exact(1, 7), 0.0703125, 1e-14);
  EXPECT_NEAR(mcnemar_exact(12, 2), 0.012939453125, 1e-14);
  EXPECT_NEAR(mcnemar_exact(0, 5), 0.0625, 1e-15);
  EXPECT_NEAR(mcnemar_exact(120, 80), 0.00568515599675, 1e-12);
  EXPECT_NEAR(mcnemar_exact(5000, 4700), 0.00239660336258, 1e-11);
  EXPECT_NEAR(mcnemar_exact(3, 40), 3.02134139929e-09, 1e-18);
  EXPECT_NEAR(mcnemar_exact(200000, 201000), 0.114660422776, 1e-9);
}

TEST(McNemar, equal_counts_give_one_and_the_order_does_not_matter) {
  EXPECT_EQ(mcnemar_exact(0, 0), 1);
  EXPECT_EQ(mcnemar_exact(6, 6), 1);
  EXPECT_EQ(mcnemar_exact(10, 9), 1);
  EXPECT_EQ(mcnemar_exact(0, 1), 1);
  EXPECT_EQ(mcnemar_exact(17, 5), mcnemar_exact(5, 17));
}

struct Paired {
  int64_t only_first, only_second, trials;
  double low, high;
};

TEST(PairedDifference, equals_references) {
  // Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014): -0.517 to -0.026 for
  // (7, 1, 21). The digits, and the other cases, from maximizing the constrained likelihood
  // numerically and solving the score equation with SciPy.
  const Paired cases[] = {{7, 1, 21, -0.5172322772708, -0.0260030308699},
                          {2, 12, 50, 0.0611124068330, 0.3447087482111},
                          {20, 40, 160, 0.0308645319287, 0.2180642438829},
                          {10, 5, 100, -0.1334713112517, 0.0286195554497},
                          {0, 3, 500, -0.0016700865128, 0.0174902521041},
                          {25, 30, 5000, -0.0019724409390, 0.0040354579975}};
  for (const Paired& c : cases) {
    const Interval interval = paired_difference_interval(c.only_first, c.only_second, c.trials);
    EXPECT_NEAR(interval.low, c.low, 2e-7) << c.only_first << ", " << c.only_second;
    EXPECT_NEAR(interval.high, c.high, 2e-7) << c.only_first << ", " << c.only_second;
  }
}

TEST(PairedDifference, is_mirrored_when_the_models_are_exchanged) {
  for (int64_t first : {0, 1, 5, 30}) {
    for (int64_t second : {0, 2, 9}) {
      const Interval a = paired_difference_interval(first, second, 100);
      const Interval b = paired_difference_interval(second, first, 100);
      EXPECT_NEAR(a.low, -b.high, 1e-12);
      EXPECT_NEAR(a.high, -b.low, 1e-12);
    }
  }
}

TEST(PairedDifference, of_models_that_never_differ_still_has_a_width) {
  // z^2 / (n + z^2), from the score equation with both counts zero.
  const Interval interval = paired_difference_interval(0, 0, 500);
  EXPECT_NEAR(interval.high, 3.841458820694 / 503.841458820694, 1e-9);
  EXPECT_NEAR(interval.low, -interval.high, 1e-12);
  EXPECT_EQ(paired_difference_interval(0, 0, 0).low, -1);
}

TEST(PairedDifference, at_the_extremes_stays_within_one) {
  EXPECT_NEAR(paired_difference_interval(0, 20, 20).high, 1, 1e-12);
  EXPECT_GT(paired_difference_interval(0, 20, 20).low, 0.5);
  EXPECT_NEAR(paired_difference_interval(20, 0, 20).low, -1, 1e-12);
}

}  // namespace
}  // namespace nibble
