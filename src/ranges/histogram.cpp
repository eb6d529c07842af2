// The streaming histogram. Widths are powers of two, so that x / width is exact and floor() of it
// is the same bin however the width was reached.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "kernels/survey.h"
#include "nibble/ranges.h"

namespace nibble {
namespace {

constexpr int kSmallestExponent = -110;  // of the width; below it all values count as about zero

int64_t bin_of(double value, double width) {
  return static_cast<int64_t>(std::floor(value / width));
}

}  // namespace

Histogram Histogram::of(double bin_width, double low, std::vector<int64_t> counts) {
  Histogram histogram;
  histogram.width_ = bin_width;
  histogram.first_ = bin_width > 0 ? static_cast<int64_t>(low / bin_width) : 0;
  histogram.total_ = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  histogram.counts_ = std::move(counts);
  return histogram;
}

// The bins of [low, high] and of what is held already, made to fit by doubling the width. Both
// ranges include zero, hence a width that was needed once is needed by every wider range too.
void Histogram::cover(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  if (width_ == 0) {
    const double magnitude = std::max(-low, high);
    // At this exponent the larger side alone has at least kBins bins, unless all is about zero.
    const int exponent = magnitude > 0 ? std::ilogb(magnitude) - 11 : kSmallestExponent;
    width_ = std::ldexp(1.0, std::max(exponent, kSmallestExponent));
    first_ = 0;
    counts_.assign(1, 0);
  }
  double width = width_;
  const auto bins = [&] {
    const double old_high = this->low() + (static_cast<double>(counts_.size()) - 0.5) * width_;
    // In double: so many bins may be missing that int64 cannot count them.
    return std::floor(std::max(high, old_high) / width) -
           std::floor(std::min(low, this->low()) / width) + 1;
  };
  while (bins() > kBins) width *= 2;
  set_width(width);
  const int64_t first = std::min(first_, bin_of(low, width_));
  const int64_t last =
      std::max(first_ + static_cast<int64_t>(counts_.size()) - 1, bin_of(high, width_));
  counts_.insert(counts_.begin(), static_cast<size_t>(first_ - first), 0);
  counts_.resize(static_cast<size_t>(last - first + 1), 0);
  first_ = first;
}

void Histogram::set_width(double width) {
  while (width_ < width) {
    const int64_t first = first_ >> 1;  // rounds down, as floor() does
    const int64_t last = (first_ + static_cast<int64_t>(counts_.size()) - 1) >> 1;
    std::vector<int64_t> merged(static_cast<size_t>(last - first + 1), 0);
    for (size_t i = 0; i < counts_.size(); ++i) {
      merged[static_cast<size_t>(((first_ + static_cast<int64_t>(i)) >> 1) - first)] += counts_[i];
    }
    counts_ = std::move(merged);
    first_ = first;
    width_ *= 2;
  }
}

Histogram Histogram::of_bins(double low, double bin_width, std::vector<int64_t> counts) {
  Histogram histogram;
  if (counts.empty() && bin_width == 0) return histogram;
  int exponent = 0;
  const bool power = bin_width > 0 && std::frexp(bin_width, &exponent) == 0.5;
  const double first = low / bin_width;
  const bool good = power && exponent > kSmallestExponent && exponent <= 128 && !counts.empty() &&
                    std::ssize(counts) <= kBins + 1 && first == std::floor(first) &&
                    std::abs(first) <= kBins &&
                    std::ranges::all_of(counts, [](int64_t count) { return count >= 0; });
  if (!good) {
    fail(ErrorCode::invalid_data, "{} bins of {} from {} on are no histogram", counts.size(),
         bin_width, low);
  }
  histogram.width_ = bin_width;
  histogram.first_ = static_cast<int64_t>(first);
  histogram.counts_ = std::move(counts);
  for (const int64_t count : histogram.counts_) {
    if (__builtin_add_overflow(histogram.total_, count, &histogram.total_)) {
      fail(ErrorCode::invalid_data, "a histogram counts more than 64 bits hold");
    }
  }
  return histogram;
}

void Histogram::add(std::span<const float> values) {
  if (values.empty()) return;
  const Survey found = survey(values);
  if (!found.finite) fail(ErrorCode::invalid_data, "NaN or infinity in a histogram");
  add(values, found.minimum, found.maximum);
}

void Histogram::add(std::span<const float> values, float minimum, float maximum) {
  if (values.empty()) return;
  cover(minimum, maximum);
  total_ += std::ssize(values);
  int64_t* counts = counts_.data() - first_;
  std::array<int32_t, 1024> bins;
  while (!values.empty()) {
    const auto part = values.first(std::min(values.size(), bins.size()));
    const int64_t others = find_bins(part, width_, bins.data());
    counts[0] += std::ssize(part) - others;
    // Neighbours are often in the same bin, and would wait for one another's count.
    const int64_t half = others / 2;
    const int32_t* bin = bins.data();
    for (int64_t i = 0; i < half; ++i) {
      ++counts[bin[i]];
      ++counts[bin[half + i]];
    }
    if (others % 2 != 0) ++counts[bin[others - 1]];
    values = values.subspan(part.size());
  }
}

void Histogram::merge(const Histogram& other) {
  if (other.width_ == 0) return;
  cover(other.low(),
        other.low() + (static_cast<double>(other.counts_.size()) - 0.5) * other.width_);
  Histogram same = other;
  if (same.width_ < width_) same.set_width(width_);
  if (width_ < same.width_) set_width(same.width_);
  cover(same.low(), same.low() + (static_cast<double>(same.counts_.size()) - 0.5) * same.width_);
  const auto shift = static_cast<size_t>(same.first_ - first_);
  for (size_t i = 0; i < same.counts_.size(); ++i) counts_[shift + i] += same.counts_[i];
  total_ += other.total_;
}

double Histogram::quantile(double p) const {
  if (total_ == 0) return 0;
  const double wanted = std::clamp(p, 0.0, 1.0) * static_cast<double>(total_);
  double below = 0;
  double edge = low();
  for (const int64_t count : counts_) {
    const auto here = static_cast<double>(count);
    if (count > 0 && below + here >= wanted) return edge + width_ * (wanted - below) / here;
    below += here;
    edge += width_;
  }
  return edge;
}

double Histogram::share_below(double value) const {
  if (total_ == 0) return 0;
  double below = 0;
  double edge = low();
  for (const int64_t count : counts_) {
    if (value <= edge) break;
    below += static_cast<double>(count) * std::min(1.0, (value - edge) / width_);
    edge += width_;
  }
  return below / static_cast<double>(total_);
}

}  // namespace nibble
