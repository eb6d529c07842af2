// Metrics: how good the answers of a model are, or how near those of the float model. A metric
// turns each sample into a few numbers, and the numbers of a set of samples into one value; what is
// not a mean over samples (F1, AUC, IoU, SQNR) is so resampled as what it is.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/measure.h"
#include "report/class_reading.h"

namespace nibble {

/// One sample, as a metric sees it.
struct MetricInput {
  const Tensor& output;
  const ClassReading& reading;        // of the output; its kind may be none
  const Tensor* reference = nullptr;  // the first model's, where the metric needs it
  const ClassReading* reference_reading = nullptr;
  const Tensor* target = nullptr;  // where the metric needs it
  int64_t label = -1;              // where the metric needs it
  int64_t classes = 0;             // that the labels tell apart; 0: there are none
};

/// The numbers of each sample; how many they are may differ from sample to sample. A sample without
/// numbers could not be judged.
class Contributions {
 public:
  void add(std::span<const double> numbers) {
    values_.insert(values_.end(), numbers.begin(), numbers.end());
    ends_.push_back(values_.size());
  }
  size_t samples() const { return ends_.size(); }
  std::span<const double> of(size_t sample) const {
    const size_t begin = sample == 0 ? 0 : ends_[sample - 1];
    return std::span(values_).subspan(begin, ends_[sample] - begin);
  }

 private:
  std::vector<double> values_;
  std::vector<size_t> ends_;
};

/// The value over a set in which sample i is counts[i] times; NaN where it is not defined.
using Statistic = std::function<double(std::span<const uint32_t> counts)>;

/// A metric; a file of metrics/ holds its row, and metrics/list.h names it.
struct MetricRow {
  std::string_view name;
  std::string_view summary;
  MetricNeeds needs = MetricNeeds::labels;
  bool reads_classes = false;  // asks the output for a class or for scores
  bool scores_only = false;    // the class itself does not do
  bool cuts = false;           // a threshold for single scores means something to it
  bool larger_is_better = true;
  MetricUnit unit = MetricUnit::share;
  /// Appends the numbers of one sample; none if the output cannot be judged by its target, label or
  /// reference because they differ in size. Throws Error{invalid_argument} for what no sample can
  /// be judged by.
  void (*judge)(const MetricInput& input, std::vector<double>& numbers) = nullptr;
  /// Null: the mean of the first number of each sample. `contributions` outlives the result.
  Statistic (*statistic)(const Contributions& contributions) = nullptr;
};
std::span<const MetricRow> metrics();
/// Throws Error{invalid_argument} naming those that there are.
const MetricRow& find_metric(std::string_view name);

/// The value over a set, of any metric.
Statistic statistic_of(const MetricRow& row, const Contributions& contributions);

}  // namespace nibble
