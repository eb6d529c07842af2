// Intervals of values that are not proportions, by drawing the samples anew (Efron and Tibshirani,
// "An Introduction to the Bootstrap", 1993).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "nibble/evaluate.h"

namespace nibble {

struct ResampleOptions {
  double confidence = 0.95;
  int resamples = 2000;
  uint64_t seed = 0;
  int threads = 0;
  /// Samples of the same number are drawn together (a sequence). By sample; empty: each for itself.
  std::vector<int64_t> groups;
};

/// The value of a set in which sample i is counts[i] times; NaN where it is not defined. Called
/// from several threads.
using SetValue = std::function<double(std::span<const uint32_t> counts)>;

/// The bias-corrected and accelerated bootstrap interval (BCa, chapter 14.3): the distribution of
/// the value over sets of as many samples, drawn with replacement, shifted by its median bias and
/// by how its spread changes with the value (from leaving out one sample at a time, or one of 500
/// parts). Resamples without a value are left out. Without bounds for fewer than two samples (or
/// groups), or if more than half of the resamples have no value; NaN if the value itself is.
Interval bootstrap_interval(int64_t samples, const SetValue& value,
                            const ResampleOptions& options = {});

/// The same from values that were found elsewhere, without the acceleration (BC): `value` of the
/// set and `resampled` of sets drawn from it.
Interval bias_corrected_interval(double value, std::vector<double> resampled, double confidence);

/// How often each sample is in draw number `draw`; the same for the same seed.
std::vector<uint32_t> draw_counts(int64_t samples, const ResampleOptions& options, int64_t draw);

}  // namespace nibble
