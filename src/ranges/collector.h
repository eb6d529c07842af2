// Statistics of one value, gathered over batches.
#pragma once

#include <optional>
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

  /// The first NaN or infinity makes the value unusable (TensorRange::unusable, which names the
  /// sample: first_sample + its place along axis 0); what comes after is not looked at. Where the
  /// extent of the channel axis changes, all channels are taken for one.
  void add(const Tensor& tensor, int64_t first_sample, ThreadPool& pool);
  /// Nothing was added, not even a tensor without elements.
  bool empty() const { return !seen_; }
  /// The sample that made it unusable, if one did.
  std::optional<int64_t> bad_sample() const { return bad_sample_; }
  /// All but `errors`, which needs a search (predict_errors).
  TensorRange finish() const;

 private:
  /// The least and the greatest value of each row of a tensor, as far as one task saw it.
  struct RowExtremes {
    std::vector<float> minimum, maximum;

    explicit RowExtremes(int64_t rows);
    void add(int64_t row, float low, float high);
  };
  void add_extremes(const std::vector<RowExtremes>& slices);
  void mark_unusable(const Tensor& tensor, int64_t first_sample);
  void forget_channels();

  std::string name_;
  std::string node_;
  int axis_ = 0;
  bool is_weight_ = false;
  bool seen_ = false;
  std::string unusable_;
  std::optional<int64_t> bad_sample_;
  Shape shape_;
  std::vector<Moments> channels_;
  std::vector<Histogram> histograms_;  // one per slice of the channels
  SampleExtremes extremes_;            // sums, not means
};

}  // namespace nibble
