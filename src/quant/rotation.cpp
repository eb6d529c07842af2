#include "quant/rotation.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "ops/roles.h"
#include "quant/orthogonal.h"
#include "ranges/observer.h"

namespace nibble {
namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// Every run of channels along the axis, times the matrix.
void turn(Graph& graph, const ChannelPlace& place, const OrthogonalMix& mix) {
  Tensor turned = graph.value(place.value).data.clone();
  const Shape& shape = turned.shape();
  const std::span<float> data = turned.data<float>();
  const int64_t width = mix.width();
  const int64_t inner = shape.elements(place.axis + 1, shape.rank());
  const int64_t runs = shape.elements(0, place.axis) * (shape[place.axis] / width);
  std::vector<double> run(at(width));
  for (int64_t r = 0; r < runs; ++r) {
    for (int64_t i = 0; i < inner; ++i) {
      float* first = data.data() + r * width * inner + i;
      for (int64_t c = 0; c < width; ++c) run[at(c)] = static_cast<double>(first[c * inner]);
      mix.apply(run);
      for (int64_t c = 0; c < width; ++c) first[c * inner] = static_cast<float>(run[at(c)]);
    }
  }
  graph.value(place.value).data = std::move(turned);
}

void fill(Graph& graph, ValueId constant, float number) {
  Tensor filled(DType::f32, graph.value(constant).data.shape());
  std::ranges::fill(filled.data<float>(), number);
  graph.value(constant).data = std::move(filled);
}

// Before: y = (scale * n + shift) W + b
// After:  y = n (scale * W) + (b + shift W)
void move_into(Graph& graph, const ScaledReader& reader, std::span<const float> scale,
               std::span<const float> shift) {
  const ValueId weight = weight_of(graph.node(reader.product));
  Tensor scaled = graph.value(weight).data.clone();
  const WeightIndex index(graph.node(reader.product), scaled.shape());
  const std::span<float> data = scaled.data<float>();
  std::vector<double> shifted(at(index.outputs()), 0);
  for (size_t e = 0; e < data.size(); ++e) {
    const auto element = static_cast<int64_t>(e);
    const size_t input = at(index.input(element));
    if (!shift.empty()) {
      shifted[at(index.output(element))] +=
          static_cast<double>(data[e]) * static_cast<double>(shift[input]);
    }
    data[e] *= scale[input];
  }
  graph.value(weight).data = std::move(scaled);
  if (shift.empty()) return;
  Tensor bias = graph.value(reader.bias).data.clone();
  const std::span<float> numbers = bias.data<float>();
  for (size_t o = 0; o < numbers.size(); ++o) {
    numbers[o] = static_cast<float>(static_cast<double>(numbers[o]) + shifted[o]);
  }
  graph.value(reader.bias).data = std::move(bias);
}

void move_scales(Graph& graph, const MovableScales& scales) {
  const Node& node = graph.node(scales.normalization);
  const Tensor scale = graph.value(node.input(1)).data;
  const Tensor shift = node.input(2) ? graph.value(node.input(2)).data : Tensor();
  for (const ScaledReader& reader : scales.readers) {
    move_into(graph, reader, scale.data<float>(),
              node.input(2) ? shift.data<float>() : std::span<const float>());
  }
  fill(graph, node.input(1), 1);
  if (node.input(2)) fill(graph, node.input(2), 0);
}

// Lost by rounding an activation, as part of its power.
double activation_noise(const TensorRange& range, int bits) {
  if (!range.unusable.empty() || !(range.total.power() > 0)) return 0;
  const QuantParams params = activation_params(range, bits, find_observer("mse"));
  return rounding_error(range.total, range.histogram,
                        {.scale = params.scale[0], .zero_point = params.zero_point[0]},
                        {params.storage, params.qmin, params.qmax}) /
         range.total.power();
}

double weight_noise(const Graph& graph, const Node& layer, int bits, ThreadPool& pool) {
  const Tensor& weight = graph.value(weight_of(layer)).data;
  const WeightIndex index(layer, weight.shape());
  const QuantParams params =
      weight_params(weight, {.axis = index.scale_axis()}, bits, find_observer("mse"), pool);
  double power = 0;
  for (const float w : weight.data<float>()) {
    power += static_cast<double>(w) * static_cast<double>(w);
  }
  return power > 0 ? squared_error(weight, quantize_tensor(weight, params), params) / power : 0;
}

// The bits at which the value is read as codes; 0 if it is not.
int bits_of(const Graph& graph, ValueId value, const BitPlan& plan) {
  int bits = 0;
  for (const NodeId id : graph.consumers(value)) {
    const Node& node = graph.node(id);
    const bool layer = is_weighted(node) && graph.value(weight_of(node)).is_constant();
    if (!layer && !multiplies_activations(graph, node)) continue;
    bits = std::max(bits, plan.of(node.name).activation_bits);
  }
  return bits;
}

}  // namespace

Graph rotate_channels(const Graph& graph, const std::vector<ChannelSpace>& spaces, uint64_t seed) {
  Graph rotated = graph;
  for (const ChannelSpace& space : spaces) {
    for (const MovableScales& scales : space.scales) move_scales(rotated, scales);
  }
  for (const ChannelSpace& space : spaces) {
    const OrthogonalMix mix(space.width, seed++);
    for (const ChannelPlace& constant : space.constants) turn(rotated, constant, mix);
  }
  return rotated;
}

double predicted_noise(const Graph& graph, const RangeReport& ranges, const ChannelSpace& space,
                       const BitPlan& plan) {
  double noise = 0;
  for (const ChannelPlace& place : space.values) {
    const int bits = bits_of(graph, place.value, plan);
    const TensorRange* range = ranges.find(graph.value(place.value).name);
    if (bits > 0 && range != nullptr) noise += activation_noise(*range, bits);
  }
  ThreadPool pool(1);
  for (const ChannelPlace& place : space.constants) {
    for (const NodeId id : graph.consumers(place.value)) {
      const Node& node = graph.node(id);
      if (!is_weighted(node) || weight_of(node) != place.value) continue;
      const int bits = plan.of(node.name).weight_bits;
      if (bits > 0) noise += weight_noise(graph, node, bits, pool);
    }
  }
  return noise;
}

}  // namespace nibble
