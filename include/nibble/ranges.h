// Dynamic range analysis of weights and activations, in one pass and constant memory.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/choice.h"
#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/ranks.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A histogram of equal bins over [low, high) that grows by doubling its bin width (merging
/// neighbours), so that no second pass over the data is needed. The width is the least power of two
/// for which [min(x, 0), max(x, 0)] takes at most kBins bins; so zero is always an edge, and the
/// result depends on the set of values alone, not on their order or on how they were split and
/// merged.
class Histogram {
 public:
  static constexpr int kBins = 2048;

  /// Throws Error{invalid_data} if a value is NaN or infinite; the histogram is then unchanged.
  void add(std::span<const float> values);
  /// The same where the extremes of the values, which are finite, are known.
  void add(std::span<const float> values, float minimum, float maximum);
  /// One with what bin_width(), low() and counts() of another say.
  static Histogram of(double bin_width, double low, std::vector<int64_t> counts);
  /// Adds another histogram's counts; both then cover the union.
  void merge(const Histogram& other);

  /// With these bins, from `low` on; what counts(), low() and bin_width() of another were. Throws
  /// Error{invalid_data} for bins that no histogram has.
  static Histogram of_bins(double low, double bin_width, std::vector<int64_t> counts);

  double bin_width() const { return width_; }  // 0 while empty
  double low() const { return static_cast<double>(first_) * width_; }
  const std::vector<int64_t>& counts() const { return counts_; }
  int64_t total() const { return total_; }
  /// Value below which a share `p` in [0,1] of the samples lies, interpolated within a bin.
  double quantile(double p) const;
  /// Share of the samples below `value`, interpolated within a bin; the inverse of quantile().
  double share_below(double value) const;
  bool operator==(const Histogram&) const = default;

 private:
  void cover(double low, double high);
  void set_width(double width);
  double width_ = 0;
  int64_t first_ = 0;  // index of the first bin: it covers [first * width, (first + 1) * width)
  std::vector<int64_t> counts_;
  int64_t total_ = 0;
};

/// Streaming moments (Welford, merged by Chan et al.) and extremes.
struct Moments {
  int64_t count = 0;
  float minimum = 0;
  float maximum = 0;
  double mean = 0;
  double m2 = 0;  // sum of squared deviations from the mean
  int64_t zeros = 0;

  /// Throws Error{invalid_data} naming the first NaN or infinity; the moments are then unchanged.
  void add(std::span<const float> values);
  void merge(const Moments& other);
  double stddev() const;  // of the population
  double power() const;   // mean of the squares
};

/// What the samples reach one by one: the means of their minima and of their maxima. A sample is a
/// row along the first axis.
struct SampleExtremes {
  int64_t samples = 0;
  double minimum = 0;
  double maximum = 0;
};

/// What the percentile observer keeps below the upper end of the codes, in percent of the values;
/// and as many above the lower end.
constexpr double kUsualPercentile = 99.99;

/// The observers, by name: how the range of a tensor is turned into a scale.
std::vector<Choice> observer_choices();

/// Predicted signal-to-quantization-noise ratio, in dB, of a tensor at a bit-width.
struct BitError {
  int bits = 8;
  double sqnr_db = 0;
};

struct TensorRange {
  std::string name;  // of the graph value; in a body of an If, Loop or Scan "loop1/body/y"
  std::string node;  // that reads the weight or computes the activation; likewise
  bool is_weight = false;
  Shape shape;           // activations: the first dimension is unknown
  Moments total;         // of no values for an activation that had no elements
  int channel_axis = 0;  // 0 for most weights, 1 for activations
  std::vector<Moments> channels;
  Histogram histogram;
  SampleExtremes sample_extremes;  // of activations
  double outlier_share = 0;        // |x - mean| > 4 standard deviations, from the histogram
  /// At 8, 6, 4, 3 and 2 bits, with the clipping of least squared error: weights symmetric per
  /// output channel (exact), activations asymmetric per tensor (from the histogram).
  std::vector<BitError> errors;
  /// Why it has no range that could be quantized ("it is infinite for sample 3 of the data set"):
  /// no number above then means anything. Empty for all others.
  std::string unusable;
};

struct RangeReport {
  int64_t samples = 0;
  std::vector<TensorRange> tensors;  // in execution order
  std::vector<std::string> notes;    // what the user should know, in sentences
  const TensorRange* find(std::string_view name) const;
};

struct AnalyzeOptions {
  int batch = 32;
  bool predict_errors = true;  // TensorRange::errors, which quantize() does not need
  int threads = 0;
  Ranks* ranks = nullptr;  // that look at the samples together; each gets the whole report
  ProgressSink* progress = nullptr;
};

/// The float graph that analyze and quantize both see: types of an already quantized graph dropped,
/// constants and BatchNorm folded, identities removed. Idempotent; a dynamic batch stays dynamic.
Graph prepare_for_quantization(const Graph& graph);

/// Runs `data` through prepare_for_quantization(graph) and gathers the range of every weight and
/// every activation. The result does not depend on the number of threads, nor on how many samples
/// are run at a time (a network that would mix them gets one), nor on how many ranks do it, to the
/// bit. States are carried from sample to sample (stored_carry()). A value that is NaN or infinite
/// for some sample is marked as unusable; quantize() refuses it if it has to be quantized. Throws
/// Error{invalid_data} if the data set is empty; Error{invalid_argument} if the samples do not fit
/// the model's inputs.
RangeReport analyze(const Graph& graph, const Dataset& data, const AnalyzeOptions& options = {});

std::string to_json(const RangeReport& report);
/// What to_json() wrote, the same to the last bit. Throws Error{invalid_data} for what is damaged
/// or no such report, and for one of a version that did not write all that quantization needs.
RangeReport range_report_from_json(std::string_view json);
/// The table for a terminal of `columns` characters.
std::string to_table(const RangeReport& report, int columns = 100);

}  // namespace nibble
#pragma GCC visibility pop
