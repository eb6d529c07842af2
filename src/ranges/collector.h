// Statistics of one value, gathered over batches.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ordered_sum.h"
#include "base/packing.h"
#include "base/thread_pool.h"
#include "nibble/ranges.h"

namespace nibble {

/// What is summed up of a value: in floating point, so that the order counts.
struct ChannelSums {
  std::vector<Moments> channels;
  bool one_channel = false;  // their number changed: all are taken for one
  SampleExtremes extremes;   // sums, not means

  void merge(ChannelSums&& later);
  void forget_channels();
};

/// What a RangeReport says of one tensor, while it is being gathered. Memory: one histogram per
/// thread, and the moments of each channel of about log2 of the batches. The result depends neither
/// on the number of threads (a channel's moments are gathered by one task in sample order, and
/// histograms merge exactly) nor on how many collectors the batches were dealt out to.
class Collector {
 public:
  Collector() = default;
  /// Batches before `first_batch` are another collector's.
  Collector(std::string name, std::string node, int channel_axis, bool is_weight,
            int64_t first_batch = 0);

  /// Where a tensor was computed.
  struct Place {
    int64_t batch = 0;         // its number; they ascend
    int64_t first_sample = 0;  // of it
  };
  /// The first NaN or infinity makes the value unusable (TensorRange::unusable, which names the
  /// sample: first_sample + its place along axis 0); what comes after is not looked at. Where the
  /// extent of the channel axis changes, all channels are taken for one.
  void add(const Tensor& tensor, const Place& place, ThreadPool& pool);
  /// All that was added, for append().
  void pack(Packer& packer) const;
  /// Adds what another collector of the same value packed, whose batches are behind those added
  /// here.
  void append(Unpacker& packed);
  /// Nothing was added, not even a tensor without elements.
  bool empty() const { return !seen_; }
  /// Along which its channels lie; -1: it has none.
  int axis() const { return axis_; }
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
  static void add_extremes(SampleExtremes& sums, const std::vector<RowExtremes>& slices);
  void mark_unusable(const Tensor& tensor, int64_t first_sample);
  void see_shape(const Shape& shape);
  ChannelSums sums_of(const Tensor& tensor, ThreadPool& pool);

  std::string name_;
  std::string node_;
  int axis_ = 0;
  bool is_weight_ = false;
  bool seen_ = false;
  std::string unusable_;
  std::optional<int64_t> bad_sample_;
  bool shaped_ = false;  // a tensor with elements was added
  Shape shape_;
  std::vector<Histogram> histograms_;  // one per task, which a slice of the channels goes to
  OrderedSum<ChannelSums> sums_;       // of whole batches
  std::optional<OrderedSum<ChannelSums>::Run> open_;  // the last batch
};

}  // namespace nibble
