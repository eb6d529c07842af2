// Post-training quantization: the prepared float graph gets quantized types.
#include "nibble/quantize.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/table.h"
#include "ops/roles.h"
#include "ops/weight_pairs.h"
#include "passes/every_graph.h"
#include "quant/dynamic.h"
#include "quant/left_in_float.h"
#include "quant/network_samples.h"
#include "quant/node_plan.h"
#include "quant/scale_guards.h"
#include "quant/shared_constants.h"
#include "quant/weights.h"
#include "ranges/observer.h"
#include "ranges/rounding.h"

namespace nibble {
namespace {

void remove_idle_copies(Graph& graph, const std::map<ValueId, ValueId>& copies) {
  for (const auto& [copy, source] : copies) {
    if (graph.value(copy).type.quant) continue;
    const NodeId identity = *graph.producer(copy);
    for (const NodeId reader : graph.consumers(copy)) {
      std::ranges::replace(graph.node(reader).inputs, copy, source);
    }
    graph.remove_node(identity);
  }
}

bool same_elements(const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::f32 && a.shape() == b.shape() &&
         std::ranges::equal(a.data<float>(), b.data<float>());
}

double largest(const Tensor& tensor) {
  double most = 0;
  for (const float x : tensor.data<float>())
    most = std::max(most, std::abs(static_cast<double>(x)));
  return most;
}

using RangesByName = std::map<std::string, const TensorRange*>;

class Quantizer {
 public:
  /// `samples` of the layers for a rounding method that needs them, else null. The graph around a
  /// body has been quantized.
  Quantizer(OpenGraph& scope, const RangesByName& ranges, const QuantizeOptions& options,
            const NetworkSamples* samples)
      : scope_(scope),
        graph_(*scope.graph),
        ranges_(ranges),
        options_(options),
        samples_(samples),
        pool_(options.threads) {}

  void run(const QuantizationPlan& plan) {
    copies_ = plan.copies;
    RoundingProgress progress{.sink = samples_ == nullptr ? nullptr : options_.progress,
                              .total = std::ssize(plan.layers)};
    type_activations(plan.types, plan.layers);
    for (const ValueId constant : plan.types.constants) type_scalar(constant);
    for (const Layer& layer : plan.layers) {
      const ValueId data = data_of(graph_.node(layer.id));
      const std::optional<QuantParams> quant = graph_.value(data).type.quant;
      // What computes no products, or never ran, has no data that a rounding method could look at.
      const bool unseen = stores_weight(graph_.node(layer.id)) || plan.never_ran;
      const std::unique_ptr<LayerSamples> samples =
          samples_ == nullptr || unseen
              ? nullptr
              : samples_->of(layer.name, scope_.outer == nullptr ? &graph_ : nullptr);
      QuantizeOptions options = options_;
      if (unseen) options.rounding = "nearest";
      LayerTask task{layer, layer.quantizes_data() ? quant : std::nullopt, find_range(data),
                     samples.get()};
      if (task.input_quant) {
        task.greatest_code = greatest_code(*task.input_quant, greatest_real(graph_, data));
      }
      if (stores_weight(graph_.node(layer.id))) tie(task, plan.layers);
      with_context([&] { return "quantizing " + describe(graph_.node(layer.id)); },
                   [&] {
                     quantize_layers(graph_, {std::span(&task, 1), progress}, options, pool_);
                   });
      ++progress.before;
    }
    remove_idle_copies(graph_, copies_);
  }

 private:
  // An output layer that multiplies by the table of an embedding, turned.
  void tie(LayerTask& task, const std::vector<Layer>& layers) const {
    const Tensor& table = graph_.value(weight_of(graph_.node(task.layer.id))).data;
    if (table.shape().rank() != 2 || task.layer.bits.weight_bits != 8) return;
    for (const Layer& layer : layers) {
      const Node& node = graph_.node(layer.id);
      if (!is_matrix_product(node) || !multiplies_codes(node) || !layer.quantizes_data()) continue;
      const Value& weight = graph_.value(weight_of(node));
      const std::optional<QuantParams>& data = graph_.value(data_of(node)).type.quant;
      if (weight.type.quant || !data || is_signed(data->storage)) continue;
      if (layer.bits.weight_bits != task.layer.bits.weight_bits) continue;
      if (!(weight.data.shape() == Shape{table.shape()[1], table.shape()[0]})) continue;
      if (!same_elements(weight.data, transposed(table))) continue;
      for (const PairOrder order : pair_orders(options_)) {
        task.tied_pairs.emplace_back(WeightAxes{.output = 0, .reduction = 1}, true, table.shape(),
                                     order);
      }
      task.greatest_code = greatest_code(*data, greatest_real(graph_, data_of(node)));
      return;
    }
  }

  Symmetry symmetry() const {
    const bool symmetric = find_target(options_.target).symmetric_activations;
    return symmetric ? Symmetry::symmetric : Symmetry::asymmetric;
  }

  // What a body captures was measured in the graph around it.
  const TensorRange* find_range(ValueId id) const {
    const auto copy = copies_.find(id);
    const auto [scope, value] = scope_.origin(copy == copies_.end() ? id : copy->second);
    const auto it = ranges_.find(scope->path + scope->graph->value(value).name);
    return it == ranges_.end() ? nullptr : it->second;
  }

  // The grid on which a captured value lies already.
  const QuantParams* grid_of_capture(ValueId id) const {
    const auto [scope, value] = scope_.origin(id);
    const std::optional<QuantParams>& quant = scope->graph->value(value).type.quant;
    return scope != &scope_ && quant ? &*quant : nullptr;
  }

  // By group, the scale at which the biases of the layers that read it keep 20 bits. A value that
  // is zero in every sample (a dead Relu) may have any scale; then the bias is the whole result.
  std::map<ValueId, double> finest_scales(const ValueTypes& types,
                                          const std::vector<Layer>& layers) const {
    std::map<ValueId, double> finest;
    for (const Layer& layer : layers) {
      const Node& node = graph_.node(layer.id);
      const auto data = types.activations.find(data_of(node));
      if (!layer.quantizes_data() || !bias_of(node) || data == types.activations.end()) continue;
      const double bias = largest(graph_.value(bias_of(node)).data);
      const double weight = largest(graph_.value(weight_of(node)).data);
      if (!(bias > 0) || !(weight > 0)) continue;
      const double wanted = bias / (weight / weight_codes(layer.bits.weight_bits).qmax) * 0x1p-20;
      const auto [at, is_first] = finest.emplace(data->second.group, wanted);
      if (!is_first) at->second = std::min(at->second, wanted);
    }
    return finest;
  }

  // The widest range of each group speaks for it: moved codes are a part of it, concatenated ones
  // the whole.
  void type_activations(const ValueTypes& types, const std::vector<Layer>& layers) {
    const auto width = [](const TensorRange& range) {
      return std::max(0.0, static_cast<double>(range.total.maximum)) -
             std::min(0.0, static_cast<double>(range.total.minimum));
    };
    std::map<ValueId, const TensorRange*> widest;
    std::map<ValueId, ValueId> widest_value;
    for (const auto& [value, entry] : types.activations) {
      const TensorRange* range = find_range(value);
      if (range == nullptr) {
        fail(ErrorCode::invalid_argument, "the range report holds nothing of value '{}': {}",
             graph_.value(value).name,
             ranges_.empty() ? "measure ranges with analyze(), or leave activations in float"
                             : "it was made from another model");
      }
      if (!range->unusable.empty()) {
        fail(ErrorCode::invalid_data, "value '{}' of node '{}' has to be quantized, but {}",
             range->name, range->node, range->unusable);
      }
      const TensorRange*& best = widest[entry.group];
      if (best != nullptr && width(*range) <= width(*best)) continue;
      best = range;
      widest_value[entry.group] = value;
    }
    const Observer observer(find_observer(options_.activation_observer), options_.percentile);
    const std::map<ValueId, double> finest = finest_scales(types, layers);
    std::map<ValueId, QuantParams> params;
    for (const auto& [value, entry] : types.activations) {
      auto it = params.find(entry.group);
      if (it == params.end()) {
        const TensorRange& range = *widest.at(entry.group);
        it = params.emplace(entry.group, activation_params(range, entry.bits, observer, symmetry()))
                 .first;
        // Rounding once more to the same grid changes nothing.
        const QuantParams* known = grid_of_capture(widest_value.at(entry.group));
        if (known != nullptr && known->bits() == it->second.bits()) it->second = *known;
        const auto fine = finest.find(entry.group);
        if (width(range) == 0 && fine != finest.end()) {
          float& scale = it->second.scale[0];
          scale = std::min(scale, static_cast<float>(std::max(fine->second, kSmallestScale)));
        }
      }
      graph_.value(value).type.quant = it->second;
    }
  }

  // A single number is exact: it is the last code.
  void type_scalar(ValueId id) {
    Value& value = graph_.value(id);
    if (value.type.quant) return;
    TensorRange range;
    range.total.add(value.data.data<float>());
    QuantParams params = activation_params(range, 8, find_observer("min-max"), symmetry());
    value.data = quantize_tensor(value.data, params);
    value.type.quant = std::move(params);
  }

  OpenGraph& scope_;
  Graph& graph_;
  const RangesByName& ranges_;
  const QuantizeOptions& options_;
  const NetworkSamples* samples_;
  ThreadPool pool_;
  std::map<ValueId, ValueId> copies_;
};

void check_options(const QuantizeOptions& options) {
  find_observer(options.weight_observer);
  find_observer(options.activation_observer);
  const Target& target = find_target(options.target);
  if (options.dynamic && !target.integer_operators) {
    fail(ErrorCode::invalid_argument,
         "dynamic quantization needs operators on integers, which {} does not have; quantize "
         "statically for it",
         target.title);
  }
  if (!find_rounding(options.rounding).looks_at_data()) return;
  if (options.dynamic || options.samples == nullptr) {
    fail(ErrorCode::invalid_argument, "the rounding method '{}' looks at data, and {}",
         options.rounding,
         options.dynamic ? "dynamic quantization has none" : "no samples are given");
  }
}

// Integer arithmetic takes one weight scale per output channel.
void check_blocks(const std::vector<Layer>& layers, const QuantizeOptions& options,
                  QuantizeReport& report) {
  if (options.weight_block_size <= 0) return;
  const auto integer = std::ranges::count_if(
      layers, [&](const Layer& layer) { return options.dynamic || layer.quantizes_data(); });
  if (integer == 0) return;
  if (integer == std::ssize(layers)) {
    fail(ErrorCode::invalid_argument,
         "weights in blocks of {} need activations in float (none), but every layer quantizes "
         "them; layers that run as integers have one weight scale per output channel",
         options.weight_block_size);
  }
  report.notes.push_back(
      fmt::format("{} of {} layers quantize their activations: they have one weight scale per "
                  "output channel, not per block",
                  integer, layers.size()));
}

// The ranges if activations were measured at all: they then tell which bodies ran.
const RangeReport* measured(const RangeReport& ranges) {
  return std::ranges::any_of(ranges.tensors,
                             [](const TensorRange& range) { return !range.is_weight; })
             ? &ranges
             : nullptr;
}

std::optional<std::string> note_of_never_ran(const QuantizationPlan& plan) {
  if (!plan.lost_activations) return std::nullopt;
  return fmt::format(
      "'{}' ran for none of the samples (or the ranges are of a version that did not look into "
      "bodies): its layers quantize their weights alone",
      std::string_view(plan.path).substr(0, plan.path.size() - 1));
}

}  // namespace

std::vector<Choice> rounding_choices() { return choices_of(roundings()); }

Graph quantize(const Graph& graph, const RangeReport& ranges, const BitPlan& plan,
               const QuantizeOptions& options, QuantizeReport* report) {
  check_options(options);
  Graph quantized = prepare_for_quantization(graph);
  QuantizeReport own;
  QuantizeReport& notes = report == nullptr ? own : *report;
  notes = {};
  const Graph real = quantized;
  OpenGraphs open(quantized);
  const std::vector<QuantizationPlan> plans =
      plan_quantization(open, plan, options, measured(ranges));
  std::vector<Layer> layers;
  for (const QuantizationPlan& decided : plans) {
    layers.insert(layers.end(), decided.layers.begin(), decided.layers.end());
    notes.quantized_layers += static_cast<int>(decided.layers.size() + decided.products.size());
    if (auto note = note_of_never_ran(decided)) notes.notes.push_back(std::move(*note));
  }
  for (const Layer& layer : layers) notes.layers[layer.name] = layer.bits;
  notes.why_not = layers_left_in_float(open, plans, plan, options);
  check_blocks(layers, options, notes);
  RangesByName by_name;
  for (const TensorRange& range : ranges.tensors) by_name[range.name] = &range;
  std::optional<NetworkSamples> samples;
  const RoundingRow& rounding = find_rounding(options.rounding);
  if (!options.dynamic && rounding.needs_layer_samples) {
    samples.emplace(real, *options.samples, options.threads);
  }
  for (size_t i = 0; i < plans.size(); ++i) {
    OpenGraph& scope = *open.all()[i];
    if (options.dynamic) {
      quantize_dynamically(*scope.graph, plans[i].layers, options);
    } else {
      Quantizer(scope, by_name, options, samples ? &*samples : nullptr).run(plans[i]);
    }
  }
  open.close();
  if (rounding.refine != nullptr) {
    const std::vector<PairOrder> orders = pair_orders(options);
    rounding.refine({.quantized = quantized,
                     .real = real,
                     .samples = *options.samples,
                     .pair_orders = orders,
                     .seed = options.seed,
                     .threads = options.threads,
                     .progress = options.progress,
                     .notes = &notes.notes});
  }
  edit_every_graph(quantized, [](Graph& one, const std::string&) { return share_constants(one); });
  share_constants_of_bodies(quantized);
  quantized.prune();
  quantized.validate();
  return quantized;
}

}  // namespace nibble
