#include "quant/weights.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/roles.h"
#include "quant/scale_guards.h"
#include "ranges/observer.h"
#include "ranges/rounding.h"

namespace nibble {
namespace {

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
  if (!bias_of(node)) return {};
  std::vector<float> bias = read_weight(graph.value(bias_of(node)), node);
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

// Mean of the layer's data, by input channel; empty if it was not measured in these channels.
std::vector<double> input_means(const TensorRange* range, int64_t channels) {
  std::vector<double> means;
  if (range == nullptr || range->channel_axis != 1) return means;
  if (static_cast<int64_t>(range->channels.size()) != channels) return means;
  for (const Moments& channel : range->channels) means.push_back(channel.mean);
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
    params.scale.push_back(input.scale[0] * weight.scale[c % weight.scale.size()]);
  }
  params.zero_point.assign(channels, 0);
  return params;
}

// One weighted layer on its way: its grid, its codes, its bias.
class LayerQuantizer {
 public:
  /// `input`: where the weight stands among the layer's inputs.
  LayerQuantizer(const Graph& graph, const LayerTask& task, size_t input,
                 const QuantizeOptions& options, ThreadPool& pool)
      : task_(task),
        node_(graph.node(task.layer.id)),
        input_(input),
        weight_(graph.value(node_.inputs[input]).data),
        values_(read_weight(graph.value(node_.inputs[input]), node_)),
        index_(node_, weight_.shape()),
        bias_(read_bias(graph, node_, index_.outputs())),
        had_bias_(!bias_.empty()),
        integer_(task.input_quant && task.layer.bits.weight_bits <= 8 &&
                 task.input_quant->bits() <= 8) {
    mean_is_free_ = options.bias_correction && takes_bias();
    if (integer_ && !is_signed(task.input_quant->storage) && multiplies_codes(node_)) {
      pair_guard_ = PairGuard(node_, weight_.shape(), pair_orders(options), task.greatest_code);
    }
    if (!task.tied_pairs.empty()) pair_guard_ = {task.tied_pairs, task.greatest_code};
    params_ = weight_params(
        weight_, grouping_of(index_, weight_.shape(), task.layer, options.weight_block_size),
        task.layer.bits.weight_bits,
        Observer(find_observer(options.weight_observer), options.percentile), pool);
  }

  WeightToRound to_round(bool may_change_scales) const {
    return {.weight = weight_,
            .params = params_,
            .node = &node_,
            .samples = task_.samples,
            .data_bits = task_.input_quant ? task_.input_quant->bits() : 0,
            .mean_is_free = mean_is_free_,
            .may_change_scales = may_change_scales};
  }
  void take(RoundedWeight rounded) {
    codes_ = std::move(rounded.codes);
    if (!rounded.scales.empty()) params_.scale = std::move(rounded.scales);
    mean_error_ = std::move(rounded.mean_error);
  }

  // Where the layer's sums might leave int32, or those of pairs 16 bits, its grid gets coarser: it
  // must then be rounded again.
  bool widen(bool may_shrink) {
    if (integer_) {
      const AccumulatorGuard sums(*task_.input_quant, bias_);
      if (sums.widen(codes_, index_, params_, may_shrink)) return true;
    }
    return pair_guard_.widen(weight_, codes_, params_);
  }

  void correct_bias() {
    if (!mean_error_.empty()) {
      if (bias_.empty()) bias_.assign(mean_error_.size(), 0.0F);
      for (size_t c = 0; c < bias_.size(); ++c) {
        bias_[c] = static_cast<float>(static_cast<double>(bias_[c]) - mean_error_[c]);
      }
      return;
    }
    const std::vector<double> means = input_means(task_.input_range, index_.inputs());
    if (!takes_bias() || means.empty()) return;
    nibble::correct_bias(bias_, values_, dequantize_tensor(codes_, params_), index_, means);
  }

  void write(Graph& graph) {
    const NodeId id = task_.layer.id;
    const std::string& name = node_.name;
    if (!bias_.empty()) {
      Tensor real = Tensor::of<float>({index_.outputs()}, std::span<const float>(bias_));
      const std::string stem = name + (had_bias_ ? "" : "_bias");
      std::optional<QuantParams> quant;
      if (integer_) {
        quant = bias_params(*task_.input_quant, params_, bias_.size());
        real = quantize_tensor(real, *quant);
      }
      replace_constant(graph, id, weight_role(node_).bias, std::move(real), std::move(quant), stem);
    }
    replace_constant(graph, id, input_, std::move(codes_), std::move(params_), name);
  }

 private:
  bool takes_bias() const { return weight_role(node_).bias != WeightRole::kNone; }

  const LayerTask& task_;
  const Node node_;
  const size_t input_;
  const Tensor weight_;
  const std::vector<float> values_;
  const WeightIndex index_;
  std::vector<float> bias_;
  bool had_bias_;
  bool integer_;
  bool mean_is_free_ = false;
  PairGuard pair_guard_;
  QuantParams params_;
  Tensor codes_;
  std::vector<double> mean_error_;  // RoundedWeight::mean_error
};

// The layers of a scope, and how they are rounded.
struct Scope {
  std::vector<LayerQuantizer> layers;
  const RoundingRow& rounding;
  const QuantizeOptions& options;
  RoundingProgress progress;
  ThreadPool& pool;

  void round(bool may_change_scales) {
    std::vector<WeightToRound> weights;
    for (const LayerQuantizer& layer : layers) weights.push_back(layer.to_round(may_change_scales));
    std::vector<RoundedWeight> rounded =
        rounding.round({.weights = weights, .seed = options.seed, .progress = progress}, pool);
    for (size_t i = 0; i < layers.size(); ++i) layers[i].take(std::move(rounded[i]));
  }

  // Rounds again and again while a grid has to get coarser.
  void make_fit() {
    for (int attempt = 0; attempt < 64; ++attempt) {
      bool changed = false;
      for (LayerQuantizer& layer : layers) changed |= layer.widen(attempt == 0);
      if (!changed) return;
      round(false);
    }
  }
};

}  // namespace

void quantize_layers(Graph& graph, const LayersToQuantize& layers, const QuantizeOptions& options,
                     ThreadPool& pool) {
  Scope scope{.layers = {},
              .rounding = find_rounding(options.rounding),
              .options = options,
              .progress = layers.progress,
              .pool = pool};
  for (const LayerTask& task : layers.tasks) {
    for (const size_t input : weight_inputs(graph.node(task.layer.id))) {
      scope.layers.emplace_back(graph, task, input, options, pool);
    }
  }
  scope.round(true);
  scope.make_fit();
  if (options.bias_correction) {
    for (LayerQuantizer& layer : scope.layers) layer.correct_bias();
    scope.make_fit();
  }
  for (LayerQuantizer& layer : scope.layers) layer.write(graph);
}

}  // namespace nibble
