#include "quant/weights.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/roles.h"
#include "ranges/observer.h"

namespace nibble {
namespace {

constexpr double kLargestSum = 2147483647.0;

std::vector<float> read_weight(const Value& value, const Node& node) {
  const std::span<const float> data = value.data.data<float>();
  const auto bad = std::ranges::find_if(data, [](float w) { return !std::isfinite(w); });
  if (bad != data.end()) {
    fail(ErrorCode::invalid_data, "{}: element {} of '{}' is {}", describe(node),
         bad - data.begin(), value.name, std::isnan(*bad) ? "NaN" : "infinite");
  }
  return {data.begin(), data.end()};
}

// The layer's bias, one per output channel; empty if there is none.
std::vector<float> read_bias(const Graph& graph, const Node& node, int64_t channels) {
  if (!node.input(2)) return {};
  std::vector<float> bias = read_weight(graph.value(node.input(2)), node);
  if (bias.size() == 1) bias.assign(static_cast<size_t>(channels), bias[0]);
  return bias;
}

WeightGrouping grouping_of(const WeightIndex& index, const Shape& weight, const Layer& layer,
                           int64_t block_size) {
  const int reduction = index.axes().reduction;
  if (block_size > 0 && !layer.quantizes_data() && weight[reduction] > block_size) {
    return {.axis = reduction, .block_size = block_size};
  }
  return {.axis = index.scale_axis()};
}

// Sum of |codes| of each output channel.
std::vector<double> channel_sums(std::span<const int32_t> codes, const WeightIndex& index) {
  std::vector<double> sums(static_cast<size_t>(index.outputs()), 0);
  for (size_t i = 0; i < codes.size(); ++i) {
    sums[static_cast<size_t>(index.output(static_cast<int64_t>(i)))] += std::abs(codes[i]);
  }
  return sums;
}

// Scales such that the accumulator of every channel fits int32, and such that a channel without
// weights can represent its bias.
class AccumulatorGuard {
 public:
  AccumulatorGuard(const QuantParams& input, std::span<const float> bias)
      : step_(input.scale[0]),
        reach_(std::max(input.qmax - input.zero_point[0], input.zero_point[0] - input.qmin)),
        bias_(bias) {}

  void widen(const Tensor& weight, const WeightIndex& index, QuantParams& params) const {
    for (int round = 0; round < 64; ++round) {
      const std::vector<double> sums =
          channel_sums(unpack_integers(quantize_tensor(weight, params)), index);
      bool changed = false;
      for (size_t c = 0; c < sums.size(); ++c) {
        float& scale = params.scale[params.scale.size() == 1 ? 0 : c];
        const double wanted =
            wanted_scale(sums[c], c, scale, round == 0 && params.scale.size() > 1);
        if (wanted == static_cast<double>(scale)) continue;
        scale = static_cast<float>(wanted);
        changed = true;
      }
      if (!changed) return;
    }
  }

 private:
  double wanted_scale(double sum, size_t channel, double scale, bool may_shrink) const {
    const double bias = bias_.empty() ? 0 : std::abs(static_cast<double>(bias_[channel]));
    // 2^24: as many steps as a float has.
    if (sum == 0 && bias > 0 && may_shrink) {
      return std::max(static_cast<double>(static_cast<float>(bias / (step_ * 0x1p24))), 0x1p-60);
    }
    const double total = sum * reach_ + bias / (step_ * scale) + 1;
    return total <= kLargestSum ? scale : scale * (total / kLargestSum) * 1.01;
  }

  double step_;
  double reach_;
  std::span<const float> bias_;
};

// Mean of the layer's data, by input channel; empty if it was not measured in these channels.
std::vector<double> input_means(const LayerInput& input, int64_t channels) {
  std::vector<double> means;
  if (input.range == nullptr || input.range->channel_axis != 1) return means;
  if (static_cast<int64_t>(input.range->channels.size()) != channels) return means;
  for (const Moments& channel : input.range->channels) means.push_back(channel.mean);
  return means;
}

// bias -= mean over the data of (rounded weight - weight) * data.
void correct_bias(std::vector<float>& bias, std::span<const float> weight, const Tensor& rounded,
                  const WeightIndex& index, std::span<const double> means) {
  std::vector<double> shift(static_cast<size_t>(index.outputs()), 0);
  const std::span<const float> quantized = rounded.data<float>();
  for (size_t i = 0; i < weight.size(); ++i) {
    const auto element = static_cast<int64_t>(i);
    shift[static_cast<size_t>(index.output(element))] +=
        (static_cast<double>(quantized[i]) - static_cast<double>(weight[i])) *
        means[static_cast<size_t>(index.input(element))];
  }
  if (bias.empty()) bias.assign(shift.size(), 0.0F);
  for (size_t c = 0; c < bias.size(); ++c) {
    bias[c] = static_cast<float>(static_cast<double>(bias[c]) - shift[c]);
  }
}

// Puts a constant at input i of a node: in the place of the old one if nobody else reads it.
void replace_constant(Graph& graph, NodeId id, size_t i, Tensor data,
                      std::optional<QuantParams> quant, std::string_view stem) {
  Node& node = graph.node(id);
  const ValueId old = node.input(i);
  if (old && graph.consumers(old).size() == 1 && !graph.is_output(old)) {
    Value& value = graph.value(old);
    value.type = {.dtype = DType::f32, .shape = data.shape(), .quant = std::move(quant)};
    value.data = std::move(data);
    graph.notes.forget_input(old);
    return;
  }
  const std::string name = graph.unique_value_name(old ? graph.value(old).name : stem);
  const ValueId fresh = quant ? graph.add_constant(name, std::move(data), std::move(*quant))
                              : graph.add_constant(name, std::move(data));
  Node& reader = graph.node(id);
  if (reader.inputs.size() <= i) reader.inputs.resize(i + 1);
  reader.inputs[i] = fresh;
}

QuantParams bias_params(const QuantParams& input, const QuantParams& weight, size_t channels) {
  QuantParams params{.storage = DType::i32,
                     .qmin = std::numeric_limits<int32_t>::min(),
                     .qmax = std::numeric_limits<int32_t>::max(),
                     .granularity = Granularity::per_channel,
                     .axis = 0};
  for (size_t c = 0; c < channels; ++c) {
    params.scale.push_back(input.scale[0] * weight.scale[weight.scale.size() == 1 ? 0 : c]);
  }
  params.zero_point.assign(channels, 0);
  return params;
}

}  // namespace

void quantize_layer(Graph& graph, const Layer& layer, const LayerInput& input,
                    const QuantizeOptions& options, ThreadPool& pool) {
  const Node& node = graph.node(layer.id);
  const Tensor weight = graph.value(node.inputs[1]).data;
  const std::vector<float> values = read_weight(graph.value(node.inputs[1]), node);
  const WeightIndex index(node, weight.shape());
  std::vector<float> bias = read_bias(graph, node, index.outputs());
  const bool takes_bias = find_op(node.op, node.domain)->weights.bias >= 0;
  const bool integer =
      input.quant != nullptr && layer.bits.weight_bits <= 8 && input.quant->bits() <= 8;

  QuantParams params =
      weight_params(weight, grouping_of(index, weight.shape(), layer, options.weight_block_size),
                    layer.bits.weight_bits, options.weight_observer, pool);
  const bool had_bias = !bias.empty();
  const std::vector<double> means = input_means(input, index.inputs());
  if (options.bias_correction && takes_bias && !means.empty()) {
    if (integer) AccumulatorGuard(*input.quant, bias).widen(weight, index, params);
    const Tensor rounded = dequantize_tensor(quantize_tensor(weight, params), params);
    correct_bias(bias, values, rounded, index, means);
  }
  if (integer) AccumulatorGuard(*input.quant, bias).widen(weight, index, params);
  Tensor codes = quantize_tensor(weight, params);
  if (!bias.empty()) {
    Tensor real = Tensor::of<float>({index.outputs()}, std::span<const float>(bias));
    const std::string stem = layer.name + (had_bias ? "" : "_bias");
    if (integer) {
      QuantParams quant = bias_params(*input.quant, params, bias.size());
      Tensor integers = quantize_tensor(real, quant);
      replace_constant(graph, layer.id, 2, std::move(integers), std::move(quant), stem);
    } else {
      replace_constant(graph, layer.id, 2, std::move(real), std::nullopt, stem);
    }
  }
  replace_constant(graph, layer.id, 1, std::move(codes), std::move(params), layer.name);
}

}  // namespace nibble
