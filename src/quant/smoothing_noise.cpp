#include "quant/smoothing_noise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/roles.h"
#include "ranges/grid.h"
#include "ranges/observer.h"

namespace nibble {
namespace {

double least_noise(const TensorRange& range, int bits) {
  const QuantParams params = activation_params(range, bits, find_observer("mse"));
  return rounding_error(range.total, range.histogram,
                        {.scale = params.scale[0], .zero_point = params.zero_point[0]},
                        {params.storage, params.qmin, params.qmax});
}

}  // namespace

SmoothingNoise::SmoothingNoise(const Graph& graph, const SmoothingSite& site,
                               const TensorRange& range, const BitPlan& plan, int64_t block_size)
    : range_(range), largest_(range.channels.size(), 0) {
  for (const Moments& channel : range.channels) power_.push_back(channel.power());
  for (const SmoothingReader& reader : site.readers) {
    const LayerBits bits = plan.of(graph.node(reader.node).name);
    Layer layer = layer_of(graph, reader, bits, bits.activation_bits == 0 ? block_size : 0);
    if (bits.activation_bits > 0) layer.activation_noise = least_noise(range, bits.activation_bits);
    layers_.push_back(std::move(layer));
  }
}

SmoothingNoise::Layer SmoothingNoise::layer_of(const Graph& graph, const SmoothingReader& reader,
                                               LayerBits bits, int64_t block_size) {
  const Value& weight = graph.value(reader.weight.constant);
  const WeightIndex index(graph.node(reader.node), weight.type.shape);
  const size_t channels = power_.size();
  const size_t width = block_size > 0 ? static_cast<size_t>(block_size) : channels;
  const size_t blocks = (channels + width - 1) / width;
  Layer layer{.bits = bits,
              .groups = static_cast<size_t>(index.outputs()) * blocks,
              .largest = {},
              .squares = std::vector<double>(channels, 0)};
  layer.largest.assign(layer.groups * channels, 0);
  const std::span<const float> data = weight.data.data<float>();
  size_t pairs = 0;  // of an output and a channel that meet
  for (size_t e = 0; e < data.size(); ++e) {
    const auto element = static_cast<int64_t>(e);
    const auto channel = static_cast<size_t>(index.input(element));
    const size_t group = static_cast<size_t>(index.output(element)) * blocks + channel / width;
    const float magnitude = std::abs(data[e]);
    float& largest = layer.largest[group * channels + channel];
    if (largest == 0 && magnitude > 0) ++pairs;
    largest = std::max(largest, magnitude);
    largest_[channel] = std::max(largest_[channel], static_cast<double>(magnitude));
    layer.squares[channel] += static_cast<double>(magnitude) * static_cast<double>(magnitude);
  }
  if (pairs > 0) layer.taps = static_cast<double>(data.size()) / static_cast<double>(pairs);
  for (size_t j = 0; j < channels; ++j) layer.signal += layer.squares[j] * power_[j];
  return layer;
}

double SmoothingNoise::weight_noise(const Layer& layer, std::span<const double> factor) const {
  if (layer.bits.weight_bits == 0) return 0;
  const size_t channels = power_.size();
  std::vector<float> factors(channels);
  std::vector<double> power(channels);
  for (size_t j = 0; j < channels; ++j) {
    factors[j] = static_cast<float>(factor[j]);
    power[j] = power_[j] / (factor[j] * factor[j]);
  }
  const double most = std::exp2(layer.bits.weight_bits - 1) - 1;
  double noise = 0;
  for (size_t g = 0; g < layer.groups; ++g) {
    const float* largest = layer.largest.data() + g * channels;
    float reach = 0;
    double seen = 0;
    for (size_t j = 0; j < channels; ++j) {
      if (largest[j] == 0) continue;
      reach = std::max(reach, largest[j] * factors[j]);
      seen += power[j];
    }
    const double step = static_cast<double>(reach) / most;
    noise += step * step / 12 * seen * layer.taps;
  }
  return noise;
}

double SmoothingNoise::as_it_is() const {
  const std::vector<double> ones(power_.size(), 1);
  double total = 0;
  for (const Layer& layer : layers_) {
    if (!(layer.signal > 0)) continue;
    const double squares = std::accumulate(layer.squares.begin(), layer.squares.end(), 0.0);
    total += (layer.activation_noise * squares + weight_noise(layer, ones)) / layer.signal;
  }
  return total;
}

double SmoothingNoise::divided(std::span<const double> factor) const {
  double low = 0, high = 0;
  for (size_t j = 0; j < factor.size(); ++j) {
    low = std::min(low, static_cast<double>(range_.channels[j].minimum) / factor[j]);
    high = std::max(high, static_cast<double>(range_.channels[j].maximum) / factor[j]);
  }
  double total = 0;
  for (const Layer& layer : layers_) {
    if (!(layer.signal > 0)) continue;
    double noise = weight_noise(layer, factor);
    if (layer.bits.activation_bits > 0) {
      const double step = (high - low) / (std::exp2(layer.bits.activation_bits) - 1);
      double squares = 0;
      for (size_t j = 0; j < factor.size(); ++j) {
        squares += layer.squares[j] * factor[j] * factor[j];
      }
      noise += step * step / 12 * squares;
    }
    total += noise / layer.signal;
  }
  return total;
}

}  // namespace nibble
