// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/text.h"
#include "nibble/evaluate.h"
#include "nibble/measure.h"

#pragma GCC visibility push(default)
namespace nibble {

/// "512 B", "8.87 MB": three significant digits, units of 1000.
std::string format_bytes(uint64_t bytes);
/// "1.23 ms", "12.3 s", "2 min 05 s", "1 h 02 min".
std::string format_duration(double seconds);
/// 0.984 -> "98.40 %".
std::string format_percent(double share);
/// 0.0012 -> "+0.12"; in percentage points, always signed.
std::string format_points(double share);
/// "98.40 % [96.88, 99.30], n = 500".
std::string format_accuracy(const Evaluation& evaluation);
/// "-0.20 [-1.10, +0.50] points, p = 0.63": second model minus first.
std::string format_difference(const PairedTest& test);
/// The number alone, a share in percent; `sign`: of a difference, in points ("+0.20").
std::string format_in_unit(double value, MetricUnit unit, bool sign);
/// "31.2 [30.8, 31.6] dB, n = 500"; a share as format_accuracy() says it; without an interval where
/// there is none.
std::string format_measurement(const Measurement& measurement, MetricUnit unit);
/// "+0.4 [-0.1, +0.9] dB"; of shares as above.
std::string format_difference(const MeasuredDifference& difference, MetricUnit unit);
/// "p = 0.031"; "p < 0.0001" below that.
std::string format_p_value(double p);
/// 12345678 -> "12.3 M", 850 -> "850": three significant digits, units of 1000.
std::string format_count(uint64_t count);

}  // namespace nibble
#pragma GCC visibility pop
