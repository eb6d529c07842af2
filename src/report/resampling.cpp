#include "report/resampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/check.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "report/statistics.h"

namespace nibble {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr Interval kUnbounded = {.low = -kInfinity, .high = kInfinity};
constexpr int64_t kJackknifeParts = 500;

// Which samples are drawn together; by default each for itself.
class Units {
 public:
  Units(int64_t samples, const std::vector<int64_t>& groups) : of_sample_(groups) {
    if (groups.empty()) {
      count_ = samples;
      return;
    }
    std::map<int64_t, int64_t> numbers;
    for (int64_t& group : of_sample_) {
      group = numbers.emplace(group, static_cast<int64_t>(numbers.size())).first->second;
    }
    count_ = static_cast<int64_t>(numbers.size());
  }
  int64_t count() const { return count_; }
  std::vector<uint32_t> spread(std::vector<uint32_t> units) const {
    if (of_sample_.empty()) return units;
    std::vector<uint32_t> samples(of_sample_.size());
    for (size_t i = 0; i < samples.size(); ++i) {
      samples[i] = units[static_cast<size_t>(of_sample_[i])];
    }
    return samples;
  }

 private:
  std::vector<int64_t> of_sample_;
  int64_t count_ = 0;
};

std::vector<uint32_t> draw(const Units& units, uint64_t seed, int64_t number) {
  // Draws are counted within one stream per seed, so that no two seeds share draws by an offset.
  Random streams(seed ^ 0x626f6f7473747261ULL);
  Random random(streams.next() + Random(static_cast<uint64_t>(number)).next());
  std::vector<uint32_t> counts(static_cast<size_t>(units.count()));
  for (size_t i = 0; i < counts.size(); ++i) ++counts[random.below(counts.size())];
  return units.spread(std::move(counts));
}

// The acceleration: a sixth of the skewness of the values with one part left out, turned about. 0
// where they do not differ, or one is not finite.
double acceleration(const Units& units, const SetValue& value, ThreadPool& pool) {
  const int64_t parts = std::min(units.count(), kJackknifeParts);
  std::vector<double> without(static_cast<size_t>(parts));
  pool.parallel_for(parts, [&](int64_t part) {
    std::vector<uint32_t> counts(static_cast<size_t>(units.count()), 1);
    for (int64_t i = part; i < units.count(); i += parts) counts[static_cast<size_t>(i)] = 0;
    without[static_cast<size_t>(part)] = value(units.spread(std::move(counts)));
  });
  double mean = 0;
  for (const double each : without) mean += each / static_cast<double>(parts);
  double squares = 0;
  double cubes = 0;
  for (const double each : without) {
    squares += (mean - each) * (mean - each);
    cubes += (mean - each) * (mean - each) * (mean - each);
  }
  const double result = cubes / (6 * std::pow(squares, 1.5));
  return std::isfinite(result) ? result : 0;
}

// Of sorted values: the one below which `share` of them lie. Not interpolated: some may be
// infinite.
double quantile(const std::vector<double>& sorted, double share, bool upper) {
  const double place = share * static_cast<double>(sorted.size() + 1);
  const double rank = upper ? std::ceil(place) : std::floor(place);
  const auto last = static_cast<double>(sorted.size());
  return sorted[static_cast<size_t>(std::clamp(rank, 1.0, last)) - 1];
}

double normal_share(double deviate) { return 0.5 * std::erfc(-deviate / std::sqrt(2.0)); }

Interval accelerated_interval(double value, std::vector<double> resampled, double confidence,
                              double acceleration) {
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  if (std::isnan(value)) return {.low = kNaN, .high = kNaN};
  const size_t all = resampled.size();
  std::erase_if(resampled, [](double each) { return std::isnan(each); });
  if (resampled.empty() || resampled.size() * 2 < all) return kUnbounded;
  std::ranges::sort(resampled);
  const auto [first, last] = std::ranges::equal_range(resampled, value);
  const double below =
      static_cast<double>(first - resampled.begin()) + static_cast<double>(last - first) / 2;
  const auto count = static_cast<double>(resampled.size());
  const double share = std::clamp(below / count, 0.5 / count, 1 - 0.5 / count);
  const double bias = normal_quantile(share);
  const auto end = [&](double deviate) {
    const double shifted = bias + deviate;
    const double slope = 1 - acceleration * shifted;
    // Beyond the pole the correction has no meaning.
    return normal_share(slope > 0.05 ? bias + shifted / slope : 2 * bias + deviate);
  };
  const double deviate = normal_quantile(0.5 + confidence / 2);
  return {.low = quantile(resampled, end(-deviate), false),
          .high = quantile(resampled, end(deviate), true)};
}

}  // namespace

std::vector<uint32_t> draw_counts(int64_t samples, const ResampleOptions& options, int64_t number) {
  return draw(Units(samples, options.groups), options.seed, number);
}

Interval bias_corrected_interval(double value, std::vector<double> resampled, double confidence) {
  return accelerated_interval(value, std::move(resampled), confidence, 0);
}

Interval bootstrap_interval(int64_t samples, const SetValue& value,
                            const ResampleOptions& options) {
  check(options.resamples > 0, "some resamples");
  const Units units(samples, options.groups);
  if (units.count() < 2) return kUnbounded;
  ThreadPool pool(options.threads);
  std::vector<double> resampled(static_cast<size_t>(options.resamples));
  pool.parallel_for(options.resamples, [&](int64_t i) {
    resampled[static_cast<size_t>(i)] = value(draw(units, options.seed, i));
  });
  const std::vector<uint32_t> once(static_cast<size_t>(samples), 1);
  return accelerated_interval(value(once), std::move(resampled), options.confidence,
                              acceleration(units, value, pool));
}

}  // namespace nibble
