// Second moments of a layer's data, summed over samples that stream: what decides how much an error
// of the weights matters.
#pragma once

#include <vector>

#include "ops/support/layer_matrix.h"
#include "ranges/rounding.h"

namespace nibble {

/// Of a run of columns of one group of a layer, over N rows, with x the float network's data and
/// q = x + d what the quantized network delivers. Matrices are [columns, columns], row-major.
struct ColumnMoments {
  int64_t group = 0;
  int64_t first = 0;  // column
  int64_t columns = 0;
  std::vector<double> second;      // E[q q^T], symmetric
  std::vector<double> drift;       // -E[q d^T]; empty if d is 0 throughout
  std::vector<double> mean;        // E[q]
  std::vector<double> float_mean;  // E[x]

  /// Of deviations from the mean, instead of the data themselves.
  void center();
};

struct MomentOptions {
  /// About this many rows are looked at, drawn by the seed; all, where there are fewer.
  int64_t rows = int64_t{1} << 16;
  /// Layers of more columns than this are looked at in runs of so many, as if these were
  /// independent: memory is quadratic in it.
  int64_t columns = 4096;
  uint64_t seed = 0;
};

/// In the order of groups and columns. The result does not depend on the number of threads.
std::vector<ColumnMoments> layer_moments(const LayerMatrix& layer, const LayerSamples& samples,
                                         const MomentOptions& options, ThreadPool& pool);

}  // namespace nibble
