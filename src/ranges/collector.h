// Statistics of one value, gathered over batches.
#pragma once

#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "nibble/ranges.h"

namespace nibble {

/// What a RangeReport says of one tensor, while it is being gathered. Memory: one Moments per
/// channel and one histogram per thread, however many samples are added. The result does not
/// depend on the number of threads: a channel's moments are gathered by one task in sample order,
/// and histograms merge exactly.
class Collector {
 public:
  Collector() = default;
  Collector(std::string name, std::string node, int channel_axis, bool is_weight);

  /// Throws Error{invalid_data} naming the value and the sample (first_sample + its place along
  /// axis 0) of a NaN or infinity. The extent of the channel axis must not change.
  void add(const Tensor& tensor, int64_t first_sample, ThreadPool& pool);
  /// Nothing was added, not even a tensor without elements.
  bool empty() const { return !seen_; }
  /// All but `errors`, which needs a search (predict_errors).
  TensorRange finish() const;

 private:
  [[noreturn]] void refuse(const Tensor& tensor, int64_t first_sample) const;

  std::string name_;
  std::string node_;
  int axis_ = 0;
  bool is_weight_ = false;
  bool seen_ = false;
  Shape shape_;
  std::vector<Moments> channels_;
  std::vector<Histogram> histograms_;  // one per slice of the channels
};

}  // namespace nibble
