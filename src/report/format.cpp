#include "report/format.h"

#include <fmt/format.h>

#include <cmath>
#include <span>

namespace nibble {
namespace {

// Three significant digits: 1.23, 12.3, 123.
std::string three_digits(double value) {
  if (value < 9.995) return fmt::format("{:.2f}", value);
  if (value < 99.95) return fmt::format("{:.1f}", value);
  return fmt::format("{:.0f}", value);
}

// `value` in the largest of the units (each a thousand of the one before) that keeps it at or above
// one.
std::string with_unit(uint64_t value, std::span<const char* const> units) {
  if (value < 1000) return fmt::format("{}{}", value, units[0]);
  auto scaled = static_cast<double>(value);
  size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < units.size()) {
    scaled /= 1000;
    ++unit;
  }
  return three_digits(scaled) + units[unit];
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {" B", " kB", " MB", " GB", " TB"};
  return with_unit(bytes, kUnits);
}

std::string format_count(uint64_t count) {
  static constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  return with_unit(count, kUnits);
}

std::string format_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  if (seconds < 0.9995e-6) return three_digits(seconds * 1e9) + " ns";
  if (seconds < 0.9995e-3) return three_digits(seconds * 1e6) + " us";
  if (seconds < 0.9995) return three_digits(seconds * 1e3) + " ms";
  if (seconds < 59.95) return three_digits(seconds) + " s";
  const auto whole = std::llround(seconds);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  const auto minutes = std::llround(seconds / 60);
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string format_percent(double share) { return fmt::format("{:.2f} %", share * 100); }

std::string format_points(double share) {
  const double points = std::round(share * 1e4) / 1e2;
  return fmt::format("{:+.2f}", points == 0 ? 0.0 : points);  // never "-0.00"
}

std::string format_accuracy(const Evaluation& evaluation) {
  return fmt::format("{} [{:.2f}, {:.2f}], n = {}", format_percent(evaluation.accuracy()),
                     evaluation.interval.low * 100, evaluation.interval.high * 100,
                     group_digits(evaluation.samples));
}

std::string format_difference(const PairedTest& test) {
  return fmt::format("{} [{}, {}] points, {}", format_points(test.difference),
                     format_points(test.interval.low), format_points(test.interval.high),
                     format_p_value(test.p_value));
}

std::string format_in_unit(double value, MetricUnit unit, bool sign) {
  if (unit == MetricUnit::share) {
    return sign ? format_points(value) : fmt::format("{:.2f}", value * 100);
  }
  if (unit == MetricUnit::decibels) {
    return sign ? fmt::format("{:+.1f}", value) : fmt::format("{:.1f}", value);
  }
  return sign ? fmt::format("{:+.4g}", value) : fmt::format("{:.5g}", value);
}

std::string format_measurement(const Measurement& measurement, MetricUnit unit) {
  std::string text = format_in_unit(measurement.value, unit, false);
  if (unit == MetricUnit::share) text += " %";
  if (measurement.method != IntervalMethod::none) {
    text += fmt::format(" [{}, {}]", format_in_unit(measurement.interval.low, unit, false),
                        format_in_unit(measurement.interval.high, unit, false));
  }
  if (unit == MetricUnit::decibels) text += " dB";
  text += ", n = " + group_digits(measurement.samples);
  if (measurement.method == IntervalMethod::none) text += ", no interval";
  return text;
}

std::string format_difference(const MeasuredDifference& difference, MetricUnit unit) {
  std::string text = format_in_unit(difference.value, unit, true);
  if (difference.method != IntervalMethod::none) {
    text += fmt::format(" [{}, {}]", format_in_unit(difference.interval.low, unit, true),
                        format_in_unit(difference.interval.high, unit, true));
  }
  if (unit == MetricUnit::share) text += " points";
  if (unit == MetricUnit::decibels) text += " dB";
  if (difference.p_value) text += ", " + format_p_value(*difference.p_value);
  return text;
}

std::string format_p_value(double p) {
  if (p < 1e-4) return "p < 0.0001";
  return fmt::format("p = {:.2g}", p);
}

}  // namespace nibble
