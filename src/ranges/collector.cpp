#include "ranges/collector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

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

void ChannelSums::forget_channels() {
  Moments all;
  for (const Moments& channel : channels) all.merge(channel);
  channels.assign(1, all);
  one_channel = true;
}

void ChannelSums::merge(ChannelSums&& later) {
  if (channels.empty()) {
    *this = std::move(later);
    return;
  }
  if (channels.size() != later.channels.size() || one_channel || later.one_channel) {
    forget_channels();
    later.forget_channels();
  }
  for (size_t c = 0; c < channels.size(); ++c) channels[c].merge(later.channels[c]);
  extremes.samples += later.extremes.samples;
  extremes.minimum += later.extremes.minimum;
  extremes.maximum += later.extremes.maximum;
}

Collector::Collector(std::string name, std::string node, int channel_axis, bool is_weight,
                     int64_t first_batch)
    : name_(std::move(name)),
      node_(std::move(node)),
      axis_(channel_axis),
      is_weight_(is_weight),
      sums_(first_batch) {}

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

Collector::RowExtremes::RowExtremes(int64_t rows)
    : minimum(static_cast<size_t>(rows), std::numeric_limits<float>::infinity()),
      maximum(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity()) {}

void Collector::RowExtremes::add(int64_t row, float low, float high) {
  float& least = minimum[static_cast<size_t>(row)];
  float& most = maximum[static_cast<size_t>(row)];
  least = std::min(least, low);
  most = std::max(most, high);
}

void Collector::add_extremes(SampleExtremes& sums, const std::vector<RowExtremes>& slices) {
  const size_t rows = slices.front().minimum.size();
  for (size_t row = 0; row < rows; ++row) {
    float low = slices.front().minimum[row], high = slices.front().maximum[row];
    for (const RowExtremes& slice : slices) {
      low = std::min(low, slice.minimum[row]);
      high = std::max(high, slice.maximum[row]);
    }
    sums.minimum += low;
    sums.maximum += high;
    ++sums.samples;
  }
}

void Collector::see_shape(const Shape& shape) {
  if (!std::exchange(shaped_, true)) {
    shape_ = shape;
    if (!is_weight_ && shape_.rank() > 0) shape_[0] = Shape::kUnknown;
  }
  for (int axis = 0; axis < shape_.rank(); ++axis) {
    const bool same = shape.rank() == shape_.rank() && shape[axis] == shape_[axis];
    if (!same) shape_[axis] = Shape::kUnknown;
  }
}

// Throws Error{invalid_data} for what is not finite.
ChannelSums Collector::sums_of(const Tensor& tensor, ThreadPool& pool) {
  const ChannelView view(tensor.shape(), axis_);
  ChannelSums sums{.channels = std::vector<Moments>(static_cast<size_t>(view.channels)),
                   .extremes = {}};
  const float* data = tensor.data<float>().data();
  const int64_t slices = std::min<int64_t>(pool.threads(), view.channels);
  if (std::ssize(histograms_) < slices) histograms_.resize(static_cast<size_t>(slices));
  // Rows are told apart where they lie outside of the channels.
  const int64_t rows =
      !is_weight_ && axis_ != 0 && tensor.shape().rank() > 0 ? tensor.shape()[0] : 1;
  std::vector<RowExtremes> extremes(static_cast<size_t>(slices), RowExtremes(rows));
  pool.parallel_for(slices, [&](int64_t slice) {
    Histogram& histogram = histograms_[static_cast<size_t>(slice)];
    RowExtremes& seen = extremes[static_cast<size_t>(slice)];
    std::vector<float> column(view.inner == 1 ? static_cast<size_t>(view.outer) : 0);
    for (int64_t c = view.channels * slice / slices; c < view.channels * (slice + 1) / slices;
         ++c) {
      Moments& moments = sums.channels[static_cast<size_t>(c)];
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
  add_extremes(sums.extremes, extremes);
  return sums;
}

void Collector::add(const Tensor& tensor, const Place& place, ThreadPool& pool) {
  seen_ = true;
  if (tensor.elements() == 0 || !unusable_.empty()) return;
  see_shape(tensor.shape());
  ChannelSums sums;
  try {
    sums = sums_of(tensor, pool);
  } catch (const Error&) {
    mark_unusable(tensor, place.first_sample);
    return;
  }
  if (open_ && open_->first == place.batch) {
    open_->part.merge(std::move(sums));
    return;
  }
  if (open_) sums_.append(*std::move(open_));
  open_ = {place.batch, place.batch, std::move(sums)};
}

void Collector::pack(Packer& packer) const {
  packer.put(seen_);
  packer.put(unusable_);
  packer.put(bad_sample_.value_or(-1));
  packer.put(shaped_);
  packer.put(shape_);
  packer.put(histograms_.size());
  for (const Histogram& histogram : histograms_) {
    packer.put(histogram.bin_width());
    packer.put(histogram.low());
    packer.put(histogram.counts());
  }
  std::vector<OrderedSum<ChannelSums>::Run> runs = sums_.runs();
  if (open_) runs.push_back(*open_);
  packer.put(runs.size());
  for (const auto& [first, last, sums] : runs) {
    packer.put(first);
    packer.put(last);
    packer.put(sums.channels);
    packer.put(sums.one_channel);
    packer.put(sums.extremes);
  }
}

void Collector::append(Unpacker& packed) {
  const bool seen = packed.get<bool>();
  std::string unusable = packed.text();
  const auto bad_sample = packed.get<int64_t>();
  const bool shaped = packed.get<bool>();
  const auto shape = packed.get<Shape>();
  std::vector<Histogram> histograms(packed.get<size_t>());
  for (Histogram& histogram : histograms) {
    const auto width = packed.get<double>(), low = packed.get<double>();
    histogram = Histogram::of(width, low, packed.list<int64_t>());
  }
  std::vector<OrderedSum<ChannelSums>::Run> runs(packed.get<size_t>());
  for (auto& [first, last, sums] : runs) {
    first = packed.get<int64_t>();
    last = packed.get<int64_t>();
    sums.channels = packed.list<Moments>();
    sums.one_channel = packed.get<bool>();
    sums.extremes = packed.get<SampleExtremes>();
  }
  seen_ = seen_ || seen;
  if (!unusable_.empty()) return;  // what comes after is not looked at
  if (shaped) see_shape(shape);
  if (!unusable.empty()) {
    unusable_ = std::move(unusable);
    if (bad_sample >= 0) bad_sample_ = bad_sample;
    return;
  }
  if (open_) sums_.append(*std::exchange(open_, std::nullopt));
  for (auto& run : runs) sums_.append(std::move(run));
  if (histograms_.empty()) histograms_.resize(1);
  for (const Histogram& histogram : histograms) histograms_[0].merge(histogram);
}

TensorRange Collector::finish() const {
  TensorRange range{.name = name_,
                    .node = node_,
                    .is_weight = is_weight_,
                    .shape = shape_,
                    .channel_axis = std::max(axis_, 0),
                    .unusable = unusable_};
  if (!unusable_.empty()) return range;
  OrderedSum<ChannelSums> all = sums_;
  if (open_) all.append(*open_);
  ChannelSums sums = all.total();
  if (sums.one_channel) range.channel_axis = 0;
  range.channels = std::move(sums.channels);
  for (const Moments& channel : range.channels) range.total.merge(channel);
  for (const Histogram& histogram : histograms_) range.histogram.merge(histogram);
  if (const auto samples = static_cast<double>(sums.extremes.samples); samples > 0) {
    range.sample_extremes = {sums.extremes.samples, sums.extremes.minimum / samples,
                             sums.extremes.maximum / samples};
  }
  range.outlier_share = outlier_share(range.total, range.histogram);
  return range;
}

}  // namespace nibble
