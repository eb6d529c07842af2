// Observers: from what is known of a tensor's values to its scale and zero point.
#pragma once

#include <span>
#include <string_view>

#include "base/thread_pool.h"
#include "nibble/ranges.h"
#include "ranges/grid.h"

namespace nibble {

/// An observer; its file in observers/ holds its row, and observers/list.h names it.
struct ObserverRow {
  std::string_view name;
  std::string_view summary;
  /// The grid of an activation, of which its range knows moments, histogram and extremes.
  Grid (*activation)(const TensorRange& range, const BitCodes& codes, Symmetry symmetry,
                     double percentile);
  /// The scale of a group of weights. `widest` (above 0) is the least one that clips none of them.
  float (*weight)(std::span<const float> weights, const BitCodes& codes, float widest,
                  double percentile);
};
std::span<const ObserverRow> observers();
/// Throws Error{invalid_argument} naming those that there are.
const ObserverRow& find_observer(std::string_view name);

/// An observer as it is to be used.
struct Observer {
  Observer(const ObserverRow& one, double percent = kUsualPercentile)
      : row(&one), percentile(percent) {}
  const ObserverRow* row;
  double percentile;  // in (50, 100]: of the values, below the upper end; as many above the lower
};

/// Per-tensor parameters for `bits` bits. Zero has a code of its own (symmetric: code 0); a tensor
/// that is all zero gets scale 1.
QuantParams activation_params(const TensorRange& range, int bits, const Observer& observer,
                              Symmetry symmetry = Symmetry::asymmetric);

/// The scale of one group of weights (zero point 0). 1 if all are zero.
float weight_scale(std::span<const float> weights, const BitCodes& codes, const Observer& observer);

/// Symmetric parameters of a whole weight: per output channel along `axis`, or per tensor if `axis`
/// is negative, or in blocks of `block_size` (> 0) along `axis`.
struct WeightGrouping {
  int axis = 0;
  int64_t block_size = 0;
};
QuantParams weight_params(const Tensor& weight, WeightGrouping grouping, int bits,
                          const Observer& observer, ThreadPool& pool);

}  // namespace nibble
