// Post-training quantization: the prepared float graph gets quantized types.
#include "nibble/quantize.h"

#include <algorithm>

#include "base/check.h"
#include "quant/dynamic.h"
#include "quant/left_in_float.h"
#include "quant/node_plan.h"
#include "quant/weights.h"
#include "ranges/observer.h"

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

class Quantizer {
 public:
  Quantizer(Graph& graph, const RangeReport& ranges, const QuantizeOptions& options)
      : graph_(graph), options_(options), pool_(options.threads) {
    for (const TensorRange& range : ranges.tensors) ranges_[range.name] = &range;
  }

  void run(const QuantizationPlan& plan) {
    copies_ = plan.copies;
    type_activations(plan.types);
    for (const ValueId constant : plan.types.constants) type_scalar(constant);
    for (const Layer& layer : plan.layers) {
      const ValueId data = graph_.node(layer.id).inputs[0];
      const std::optional<QuantParams> quant = graph_.value(data).type.quant;
      const LayerInput input{layer.quantizes_data() && quant ? &*quant : nullptr, find_range(data)};
      with_context([&] { return "quantizing " + describe(graph_.node(layer.id)); },
                   [&] { quantize_layer(graph_, layer, input, options_, pool_); });
    }
    remove_idle_copies(graph_, copies_);
  }

 private:
  Symmetry symmetry() const {
    return options_.symmetric_activations ? Symmetry::symmetric : Symmetry::asymmetric;
  }

  const TensorRange* find_range(ValueId id) const {
    const auto copy = copies_.find(id);
    const auto it = ranges_.find(graph_.value(copy == copies_.end() ? id : copy->second).name);
    return it == ranges_.end() ? nullptr : it->second;
  }

  // The widest range of each group speaks for it: moved codes are a part of it, concatenated ones
  // the whole.
  void type_activations(const ValueTypes& types) {
    const auto width = [](const TensorRange& range) {
      return std::max(0.0, static_cast<double>(range.total.maximum)) -
             std::min(0.0, static_cast<double>(range.total.minimum));
    };
    std::map<ValueId, const TensorRange*> widest;
    for (const auto& [value, entry] : types.activations) {
      const TensorRange* range = find_range(value);
      if (range == nullptr) {
        fail(ErrorCode::invalid_argument,
             "the range report holds nothing of value '{}': it was made from another model",
             graph_.value(value).name);
      }
      const TensorRange*& best = widest[entry.group];
      if (best == nullptr || width(*range) > width(*best)) best = range;
    }
    std::map<ValueId, QuantParams> params;
    for (const auto& [value, entry] : types.activations) {
      auto it = params.find(entry.group);
      if (it == params.end()) {
        const TensorRange& range = *widest.at(entry.group);
        it = params
                 .emplace(entry.group, activation_params(range.total, range.histogram, entry.bits,
                                                         options_.activation_observer, symmetry()))
                 .first;
      }
      graph_.value(value).type.quant = it->second;
    }
  }

  // A single number is exact: it is the last code.
  void type_scalar(ValueId id) {
    Value& value = graph_.value(id);
    if (value.type.quant) return;
    Moments moments;
    moments.add(value.data.data<float>());
    QuantParams params = activation_params(moments, {}, 8, ObserverKind::min_max, symmetry());
    value.data = quantize_tensor(value.data, params);
    value.type.quant = std::move(params);
  }

  Graph& graph_;
  const QuantizeOptions& options_;
  ThreadPool pool_;
  std::map<std::string, const TensorRange*> ranges_;
  std::map<ValueId, ValueId> copies_;
};

}  // namespace

Graph quantize(const Graph& graph, const RangeReport& ranges, const BitPlan& plan,
               const QuantizeOptions& options, QuantizeReport* report) {
  if (options.dynamic && options.symmetric_activations) {
    fail(ErrorCode::invalid_argument,
         "dynamic quantization finds asymmetric uint8 activations at run time: they cannot be "
         "symmetric int8, as TensorRT needs them");
  }
  Graph quantized = prepare_for_quantization(graph);
  QuantizeReport own;
  QuantizeReport& notes = report == nullptr ? own : *report;
  notes = {};
  const QuantizationPlan decided = plan_quantization(quantized, plan, options);
  notes.quantized_layers = static_cast<int>(decided.layers.size());
  for (const Layer& layer : decided.layers) notes.layers[layer.name] = layer.bits;
  notes.why_not = layers_left_in_float(quantized, decided, plan, options);
  if (options.dynamic) {
    quantize_dynamically(quantized, decided.layers, options);
  } else {
    Quantizer(quantized, ranges, options).run(decided);
  }
  quantized.prune();
  quantized.validate();
  return quantized;
}

}  // namespace nibble
