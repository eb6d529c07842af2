#include "report/statistics.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "nibble/evaluate.h"

namespace nibble {
namespace {

// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. It
// converges in O(sqrt(max(a, b))) steps for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto nonzero = [](double value) { return std::abs(value) < kTiny ? kTiny : value; };
  double c = 1;
  double d = 1 / nonzero(1 - (a + b) * x / (a + 1));
  double fraction = d;
  for (int m = 1; m <= 100000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonzero(1 + even * d);
    c = nonzero(1 + even / c);
    fraction *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonzero(1 + odd * d);
    c = nonzero(1 + odd / c);
    fraction *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return fraction;
}

// lgamma is not thread-safe in C (signgam); its re-entrant form is.
double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// The argument at which an increasing function changes from below to above, to the last bit.
template <typename Below>
double bisect(double low, double high, const Below& below) {
  for (int step = 0; step < 200; ++step) {
    const double middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) break;
    (below(middle) ? low : high) = middle;
  }
  return low + (high - low) / 2;
}

void require_counts(bool sound) {
  check(sound, "counts of a proportion are between zero and the number of trials");
}

}  // namespace

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double log_front =
      log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * std::log(x) + b * std::log1p(-x);
  if (x < (a + 1) / (a + b + 2)) return std::exp(log_front) * beta_fraction(a, b, x) / a;
  return 1 - std::exp(log_front) * beta_fraction(b, a, 1 - x) / b;
}

double beta_quantile(double a, double b, double p) {
  return bisect(0.0, 1.0, [&](double x) { return incomplete_beta(a, b, x) < p; });
}

double normal_quantile(double p) {
  return bisect(-40.0, 40.0, [&](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)) < p; });
}

Interval binomial_interval(int64_t successes, int64_t trials, double confidence) {
  require_counts(successes >= 0 && successes <= trials);
  if (trials == 0) return {0, 1};
  const double tail = (1 - confidence) / 2;
  const auto k = static_cast<double>(successes);
  const auto n = static_cast<double>(trials);
  return {.low = successes == 0 ? 0 : beta_quantile(k, n - k + 1, tail),
          .high = successes == trials ? 1 : beta_quantile(k + 1, n - k, 1 - tail)};
}

// The k-th smallest lies above the median if fewer than k values lie below that:
// P(Binomial(n, 1/2) <= k - 1) = I_{1/2}(n - k + 1, k).
Interval median_interval(std::vector<double> values, double confidence) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto n = static_cast<int64_t>(values.size());
  int64_t k = 1;
  while (2 * (k + 1) <= n && incomplete_beta(static_cast<double>(n - k), static_cast<double>(k + 1),
                                             0.5) <= (1 - confidence) / 2) {
    ++k;
  }
  return {values[static_cast<size_t>(k - 1)], values[static_cast<size_t>(n - k)]};
}

// Given that the models differ in n samples, the smaller count is Binomial(n, 1/2) if they are
// equally good; P(X <= k) = I_{1/2}(n - k, k + 1).
double mcnemar_exact(int64_t only_first_right, int64_t only_second_right) {
  require_counts(only_first_right >= 0 && only_second_right >= 0);
  const auto n = static_cast<double>(only_first_right + only_second_right);
  const auto k = static_cast<double>(std::min(only_first_right, only_second_right));
  if (2 * k == n) return 1;
  return std::min(1.0, 2 * incomplete_beta(n - k, k + 1, 0.5));
}

// The differences d for which the score statistic
//   (x12 - x21 - n d) / sqrt(n (2 q + d (1 - d)))
// is within the normal deviate, where q is the maximum likelihood estimate of P(only first right)
// if the difference is d: the larger root of 2n q^2 + B q - x21 d (1 - d) = 0 with
// B = -x12 - x21 + (2n - x12 + x21) d.
Interval paired_difference_interval(int64_t only_first_right, int64_t only_second_right,
                                    int64_t trials, double confidence) {
  require_counts(only_first_right >= 0 && only_second_right >= 0 &&
                 only_first_right + only_second_right <= trials);
  if (trials == 0) return {-1, 1};
  const auto x12 = static_cast<double>(only_second_right);
  const auto x21 = static_cast<double>(only_first_right);
  const auto n = static_cast<double>(trials);
  const double deviate = normal_quantile(0.5 + confidence / 2);
  const auto score = [&](double d) {
    const double b = -x12 - x21 + (2 * n - x12 + x21) * d;
    const double root = std::sqrt(std::max(0.0, b * b + 8 * n * x21 * d * (1 - d)));
    const double q = (root - b) / (4 * n);
    const double variance = n * (2 * q + d * (1 - d));
    const double excess = x12 - x21 - n * d;
    if (variance <= 0) return excess == 0 ? 0 : std::copysign(HUGE_VAL, excess);
    return excess / std::sqrt(variance);
  };
  const double difference = (x12 - x21) / n;
  return {.low = bisect(-1.0, difference, [&](double d) { return score(d) > deviate; }),
          .high = bisect(difference, 1.0, [&](double d) { return score(d) > -deviate; })};
}

}  // namespace nibble
