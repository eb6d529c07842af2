// The distribution functions behind the intervals and tests of nibble/evaluate.h.
#pragma once

#include <vector>

#include "nibble/evaluate.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The regularized incomplete beta function I_x(a, b): P(X <= x) for X ~ Beta(a, b). a, b > 0.
/// Relative error below 1e-9 for a, b up to 10^6.
double incomplete_beta(double a, double b, double x);
/// The inverse: the x with I_x(a, b) = p.
double beta_quantile(double a, double b, double p);
/// Two-sided interval of a median, without any assumption on the distribution: values between which
/// it lies with at least this confidence, those of the ranks that the binomial distribution of
/// 1/2 gives. Of fewer values than that takes (6 at 95 %), all of them.
Interval median_interval(std::vector<double> values, double confidence = 0.95);
/// The standard normal deviate that `p` of the distribution lies below, p in (0, 1).
double normal_quantile(double p);

}  // namespace nibble
#pragma GCC visibility pop
