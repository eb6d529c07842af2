#include "ranges/collector.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "kernels/survey.h"
#include "ranges/moments_of.h"

namespace nibble {
namespace {

// A tensor seen as [outer, channels, inner].
struct ChannelView {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;

  ChannelView(const Shape& shape, int axis) {
    if (shape.rank() <= axis || axis < 0) {
      if (shape.rank() > 0) outer = shape[0];
      inner = shape.elements() / outer;
      return;
    }
    outer = shape.elements(0, axis);
    channels = shape[axis];
    inner = shape.elements(axis + 1, shape.rank());
  }
};

double outlier_share(const Moments& total, const Histogram& histogram) {
  constexpr double kDeviations = 4;
  const double reach = kDeviations * total.stddev();
  if (reach == 0) return 0;
  const double above = 1 - histogram.share_below(total.mean + reach);
  return std::clamp(histogram.share_below(total.mean - reach) + above, 0.0, 1.0);
}

}  // namespace

Collector::Collector(std::string name, std::string node, int channel_axis, bool is_weight)
    : name_(std::move(name)), node_(std::move(node)), axis_(channel_axis), is_weight_(is_weight) {}

void Collector::mark_unusable(const Tensor& tensor, int64_t first_sample) {
  const std::span<const float> values = tensor.data<float>();
  const auto at = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  const std::string_view what = std::isnan(*at) ? "NaN" : "infinite";
  if (is_weight_) {
    unusable_ = fmt::format("its element {} is {}", at - values.begin(), what);
    return;
  }
  const int64_t rows = tensor.shape().rank() > 0 ? tensor.shape()[0] : 1;
  const int64_t row = (at - values.begin()) / std::max<int64_t>(tensor.elements() / rows, 1);
  bad_sample_ = first_sample + row;
  unusable_ = fmt::format("it is {} for sample {} of the data set", what, *bad_sample_);
}

void Collector::forget_channels() {
  Moments all;
  for (const Moments& channel : channels_) all.merge(channel);
  channels_.assign(1, all);
  for (size_t i = 1; i < histograms_.size(); ++i) histograms_[0].merge(histograms_[i]);
  histograms_.resize(1);
  axis_ = -1;
}

Collector::RowExtremes::RowExtremes(int64_t rows)
    : minimum(static_cast<size_t>(rows), std::numeric_limits<float>::infinity()),
      maximum(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity()) {}

void Collector::RowExtremes::add(int64_t row, float low, float high) {
  float& least = minimum[static_cast<size_t>(row)];
  float& most = maximum[static_cast<size_t>(row)];
  least = std::min(least, low);
  most = std::max(most, high);
}

void Collector::add_extremes(const std::vector<RowExtremes>& slices) {
  const size_t rows = slices.front().minimum.size();
  for (size_t row = 0; row < rows; ++row) {
    float low = slices.front().minimum[row], high = slices.front().maximum[row];
    for (const RowExtremes& slice : slices) {
      low = std::min(low, slice.minimum[row]);
      high = std::max(high, slice.maximum[row]);
    }
    extremes_.minimum += low;
    extremes_.maximum += high;
    ++extremes_.samples;
  }
}

void Collector::add(const Tensor& tensor, int64_t first_sample, ThreadPool& pool) {
  seen_ = true;
  if (tensor.elements() == 0 || !unusable_.empty()) return;
  const bool changed = !channels_.empty() && axis_ >= 0 &&
                       ChannelView(tensor.shape(), axis_).channels != std::ssize(channels_);
  if (changed) forget_channels();
  const ChannelView view(tensor.shape(), axis_);
  if (channels_.empty()) {
    channels_.resize(static_cast<size_t>(view.channels));
    histograms_.resize(static_cast<size_t>(std::min<int64_t>(pool.threads(), view.channels)));
    shape_ = tensor.shape();
    if (!is_weight_ && shape_.rank() > 0) shape_[0] = Shape::kUnknown;
  }
  for (int axis = 0; axis < shape_.rank(); ++axis) {
    const bool same =
        tensor.shape().rank() == shape_.rank() && tensor.shape()[axis] == shape_[axis];
    if (!same) shape_[axis] = Shape::kUnknown;
  }
  const float* data = tensor.data<float>().data();
  const auto slices = static_cast<int64_t>(histograms_.size());
  // Rows are told apart where they lie outside of the channels.
  const int64_t rows =
      !is_weight_ && axis_ != 0 && tensor.shape().rank() > 0 ? tensor.shape()[0] : 1;
  std::vector<RowExtremes> extremes(static_cast<size_t>(slices), RowExtremes(rows));
  try {
    pool.parallel_for(slices, [&](int64_t slice) {
      Histogram& histogram = histograms_[static_cast<size_t>(slice)];
      RowExtremes& seen = extremes[static_cast<size_t>(slice)];
      std::vector<float> column(view.inner == 1 ? static_cast<size_t>(view.outer) : 0);
      for (int64_t c = view.channels * slice / slices; c < view.channels * (slice + 1) / slices;
           ++c) {
        Moments& moments = channels_[static_cast<size_t>(c)];
        const auto add = [&](std::span<const float> values) {
          const Survey found = survey(values);
          if (!found.finite) fail(ErrorCode::invalid_data, "NaN or infinity");
          moments.merge(moments_of(found, values[0], std::ssize(values)));
          histogram.add(values, found.minimum, found.maximum);
          return found;
        };
        if (view.inner == 1) {
          for (int64_t n = 0; n < view.outer; ++n) {
            const float value = data[n * view.channels + c];
            column[static_cast<size_t>(n)] = value;
            seen.add(n * rows / view.outer, value, value);
          }
          add(column);
          continue;
        }
        for (int64_t n = 0; n < view.outer; ++n) {
          const Survey found =
              add({data + (n * view.channels + c) * view.inner, static_cast<size_t>(view.inner)});
          seen.add(n * rows / view.outer, found.minimum, found.maximum);
        }
      }
    });
    add_extremes(extremes);
  } catch (const Error&) {
    mark_unusable(tensor, first_sample);
  }
}

TensorRange Collector::finish() const {
  TensorRange range{.name = name_,
                    .node = node_,
                    .is_weight = is_weight_,
                    .shape = shape_,
                    .channel_axis = std::max(axis_, 0),
                    .channels = channels_,
                    .unusable = unusable_};
  for (const Moments& channel : channels_) range.total.merge(channel);
  for (const Histogram& histogram : histograms_) range.histogram.merge(histogram);
  if (const auto samples = static_cast<double>(extremes_.samples); samples > 0) {
    range.sample_extremes = {extremes_.samples, extremes_.minimum / samples,
                             extremes_.maximum / samples};
  }
  range.outlier_share = outlier_share(range.total, range.histogram);
  return range;
}

}  // namespace nibble
