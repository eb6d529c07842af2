// Values and paired differences with their intervals, from the numbers of each sample.
#pragma once

#include "nibble/measure.h"
#include "report/metrics/metric.h"
#include "report/resampling.h"

namespace nibble {

/// Value, interval, method, samples and per_sample of one model. Proportions (each sample 0 or 1)
/// of independent samples get the exact interval, all others the bootstrap's.
Measurement measured(const MetricRow& row, const Contributions& contributions,
                     const ResampleOptions& options);

/// Second minus first, over the same samples: Tango's interval and McNemar's test for proportions,
/// else the bootstrap, which draws the same samples for both.
MeasuredDifference measured_difference(const MetricRow& row, const Contributions& first,
                                       const Contributions& second, const ResampleOptions& options);

/// Second minus first; 0 if they are equal, infinite or not.
double difference_of(double first, double second);

}  // namespace nibble
