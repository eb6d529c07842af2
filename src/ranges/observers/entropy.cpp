// The clipping after which the distribution of the codes differs least from that of the values, by
// Kullback-Leibler divergence (Migacz, 8-bit inference with TensorRT, GTC 2017).
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ranges/observers/list.h"

namespace nibble {
namespace {

constexpr int kThresholds = 128;   // tried, evenly spaced up to the largest magnitude
constexpr int kFewestBins = 2;     // of the histogram between the ends of the codes
constexpr double kNothing = 1e-9;  // the share of a bin that codes know nothing of

int64_t bin_of(const Histogram& histogram, double value) {
  const double bin = std::floor((value - histogram.low()) / histogram.bin_width());
  return std::clamp<int64_t>(static_cast<int64_t>(bin), 0, std::ssize(histogram.counts()) - 1);
}

// A value that occurs again and again (the bias over a plain background, the end of a Clip) fills
// one bin. Its code stands for it as well as for any other value, but by their distribution alone
// it would ask for a finer one: a bin counts at most twice as often as its fuller neighbour, or the
// mean. Exact zeros have a code of their own on every grid and count not at all.
std::vector<int64_t> without_spikes(const TensorRange& range) {
  std::vector<int64_t> counts = range.histogram.counts();
  counts[static_cast<size_t>(bin_of(range.histogram, 0))] -= range.total.zeros;
  const std::vector<int64_t> all = counts;
  const int64_t bins = std::ssize(all) - std::ranges::count(all, 0);
  const int64_t mean =
      std::accumulate(all.begin(), all.end(), int64_t{0}) / std::max<int64_t>(bins, 1);
  for (size_t bin = 0; bin < all.size(); ++bin) {
    const int64_t before = bin > 0 ? all[bin - 1] : 0;
    const int64_t behind = bin + 1 < all.size() ? all[bin + 1] : 0;
    counts[bin] = std::min(all[bin], 2 * std::max({before, behind, mean, int64_t{1}}));
  }
  return counts;
}

// Of the values from what codes over the bins `begin` to `end` tell of them: all that a code stands
// for is taken to be spread evenly over the bins that hold any of it. What lies beyond, with all
// its spikes, counts among the values at the ends, where the codes do not expect it: so clipping
// has its price. `counts` are without_spikes().
double divergence(const Histogram& histogram, const std::vector<int64_t>& counts, int64_t begin,
                  int64_t end, const Grid& grid, const BitCodes& codes) {
  const auto count = [&](int64_t bin) {
    return static_cast<double>(counts[static_cast<size_t>(bin)]);
  };
  const std::vector<int64_t>& all = histogram.counts();
  const double below = std::accumulate(all.begin(), all.begin() + begin, 0.0);
  const double above = std::accumulate(all.begin() + end + 1, all.end(), 0.0);
  const double width = histogram.bin_width();
  const auto code_of = [&, low = histogram.low()](int64_t bin) {
    const double code = (low + (static_cast<double>(bin) + 0.5) * width) / grid.scale;
    const auto nearest = static_cast<int64_t>(code + (code < 0 ? -0.5 : 0.5)) + grid.zero_point;
    return std::clamp<int64_t>(nearest, codes.qmin, codes.qmax);
  };
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  double sum = 0;
  for (int64_t first = begin, next = begin; first <= end; first = next) {
    const int64_t code = code_of(first);
    double inside = 0, holding = 0;
    for (; next <= end && code_of(next) == code; ++next) {
      inside += count(next);
      holding += count(next) > 0 ? 1 : 0;
    }
    const double told = holding > 0 ? std::max(inside / holding / total, kNothing) : kNothing;
    for (int64_t bin = first; bin < next; ++bin) {
      const double held =
          (count(bin) + (bin == begin ? below : 0) + (bin == end ? above : 0)) / total;
      if (held > 0) sum += held * std::log(held / told);
    }
    // Counts differ by chance too, by so much on average (Miller, 1955); else few samples would
    // call for a bin to each code.
    sum -= std::max(holding - 1, 0.0) / (2 * total);
  }
  return sum;
}

Grid activation_grid(const TensorRange& range, const BitCodes& codes, Symmetry symmetry, double) {
  const Histogram& histogram = range.histogram;
  const auto [low, high] = whole_range(range);
  const double reach = std::max(-low, high);
  Grid best = grid_over(low, high, codes, symmetry);
  if (histogram.total() <= range.total.zeros) return best;
  const std::vector<int64_t> counts = without_spikes(range);
  const auto judge = [&](double bottom, double top, const Grid& grid) {
    return divergence(histogram, counts, bin_of(histogram, bottom), bin_of(histogram, top), grid,
                      codes);
  };
  double least = judge(low, high, best);
  for (int step = kThresholds - 1; step > 0; --step) {
    const double threshold = reach * step / kThresholds;
    const double bottom = std::max(low, -threshold), top = std::min(high, threshold);
    if (top - bottom < kFewestBins * histogram.bin_width()) break;
    const Grid grid = grid_over(bottom, top, codes, symmetry);
    const double here = judge(bottom, top, grid);
    if (here >= least) continue;
    least = here;
    best = grid;
  }
  return best;
}

}  // namespace

ObserverRow entropy_observer() {
  return {"entropy", "keeps the distribution of codes near that of values; as min-max for weights",
          activation_grid, widest_scale};  // a channel has too few weights for a distribution
}

}  // namespace nibble
