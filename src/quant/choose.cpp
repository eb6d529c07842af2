// Bit-widths per layer from measured sensitivities and a budget.
#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "onnx/model_size.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "quant/knapsack.h"
#include "quant/layers.h"
#include "quant/stored_weights.h"
#include "ranges/grid.h"
#include "ranges/rounding.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

// Runs graphs on the same samples and compares their outputs with those of the first.
class OutputProbe {
 public:
  OutputProbe(const Graph& graph, const Dataset& data, const ChooseOptions& options)
      : data_(data), options_(options), samples_(std::min(options.samples, data.size())) {
    SampleRunner runner(graph, data_, runner_options(std::min<int64_t>(samples_, 32)));
    batch_ = runner.batch();
    run(runner, [&](size_t, std::span<const float> values) {
      reference_.emplace_back(values.begin(), values.end());
      for (const float value : values) signal_ += static_cast<double>(value) * value;
    });
  }

  double sqnr_of(const Graph& graph) const {
    SampleRunnerOptions options = runner_options(batch_);
    options.probe = false;
    SampleRunner runner(graph, data_, options);
    double noise = 0;
    run(runner, [&](size_t i, std::span<const float> values) {
      for (size_t k = 0; k < values.size(); ++k) {
        const double difference = static_cast<double>(values[k]) - reference_[i][k];
        noise += difference * difference;
      }
    });
    return sqnr_db(signal_, noise);
  }

 private:
  SampleRunnerOptions runner_options(int64_t batch) const {
    return {.batch = batch, .arithmetic = Arithmetic::f32, .threads = options_.quantize.threads};
  }

  // Calls body(i, values) for the i-th f32 output of all runs.
  template <typename Body>
  void run(SampleRunner& runner, const Body& body) const {
    size_t i = 0;
    for (const auto reader = runner.reader(samples_); const auto batch = reader->next();) {
      for (const Tensor& output : runner.run(*batch)) {
        if (output.dtype() == DType::f32) body(i++, output.data<float>());
      }
    }
  }

  const Dataset& data_;
  const ChooseOptions& options_;
  int64_t samples_ = 0;
  int64_t batch_ = 1;  // as the float network takes them
  double signal_ = 0;
  std::vector<std::vector<float>> reference_;
};

struct Candidates {
  std::vector<Layer> layers;
  std::vector<std::vector<int>> bits;  // by layer, widest first
  std::vector<int64_t> weights;        // by layer
};

// Layers with given bits have them; those to be skipped stay in float.
BitPlan given_plan(const ChooseOptions& options) {
  BitPlan plan{.fallback = {8, options.activation_bits}, .layers = {}};
  for (const auto& [node, bits] : options.fixed_weight_bits) {
    plan.layers[node] = {bits, options.activation_bits};
  }
  for (const std::string& node : options.quantize.skip)
    plan.layers[node] = {0, options.activation_bits};
  return plan;
}

Candidates find_candidates(const Graph& graph, const ChooseOptions& options) {
  if (options.candidates.empty()) {
    fail(ErrorCode::invalid_argument, "no bit-widths to choose from");
  }
  std::vector<int> bits = options.candidates;
  std::ranges::sort(bits, std::greater());
  bits.erase(std::ranges::unique(bits).begin(), bits.end());
  for (const int b : bits) {
    if (b < 2 || b > 8) {
      fail(ErrorCode::invalid_argument, "candidate bit-widths go from 2 to 8, not {}", b);
    }
  }
  Candidates found;
  QuantizeOptions quantize_options = options.quantize;
  quantize_options.first_and_last_8bit = false;
  std::set<std::string> names;
  auto by_path = find_layers(graph, given_plan(options), quantize_options);
  for (const auto& [path, layers] : by_path) {
    for (const Layer& layer : layers) names.insert(layer.name);
  }
  const std::set<std::string> ends = layers_at_the_ends(graph, names);
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    for (Layer& layer : by_path[path]) {
      const auto fixed = options.fixed_weight_bits.find(layer.name);
      const bool is_fixed = fixed != options.fixed_weight_bits.end();
      std::vector<int> choices = is_fixed ? std::vector{fixed->second} : bits;
      // quantize() keeps these at 8 bits at least.
      if (options.quantize.first_and_last_8bit && ends.contains(layer.name)) {
        choices = {std::max(is_fixed ? choices[0] : 8, 8)};
      }
      found.bits.push_back(std::move(choices));
      int64_t weights = 0;
      for (const size_t input : weight_inputs(one.node(layer.id))) {
        weights += one.value(one.node(layer.id).inputs[input]).data.elements();
      }
      found.weights.push_back(weights);
      found.layers.push_back(std::move(layer));
    }
  });
  return found;
}

// The network as quantize() would make it with all layers that have a choice at the same bits; one
// for each bit-width there is to choose.
class Variants {
 public:
  Variants(const Graph& graph, const RangeReport& ranges, const Dataset& data,
           const Candidates& candidates, const ChooseOptions& options) {
    QuantizeOptions quantize_options = options.quantize;
    if (quantize_options.samples == nullptr) quantize_options.samples = &data;
    // What learns on the whole network is not told apart by layers.
    if (find_rounding(quantize_options.rounding).refine != nullptr) {
      quantize_options.rounding = "nearest";
    }
    for (const int bits : options.candidates) {
      BitPlan plan = given_plan(options);
      for (const Layer& layer : candidates.layers) {
        if (options.fixed_weight_bits.contains(layer.name)) continue;
        plan.layers[layer.name] = {bits, options.activation_bits};
      }
      graphs_.emplace(bits, quantize(graph, ranges, plan, quantize_options));
    }
  }

  const std::map<int, Graph>& all() const { return graphs_; }
  /// Of the one in which a layer that may have `bits` bits has them. A layer without a choice has
  /// its bits in all of them.
  int bits_of(int bits) const { return graphs_.contains(bits) ? bits : graphs_.rbegin()->first; }
  const Graph& at(int bits) const { return graphs_.at(bits_of(bits)); }

 private:
  std::map<int, Graph> graphs_;
};

Tensor real_constant(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

bool is_in_body(const Graph& model, const Layer& layer) {
  return std::ranges::none_of(model.nodes(),
                              [&](NodeId id) { return model.node(id).name == layer.name; });
}

// The graph that holds a layer, and the layer in it.
struct Place {
  OpenGraph* scope = nullptr;
  NodeId node;
};
Place find_layer(const OpenGraphs& open, const std::string& layer) {
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      if (scope->path + scope->graph->node(id).name == layer) return {scope.get(), id};
    }
  }
  check(false, "quantize() keeps the names of layers");
  return {};
}

// `graph` with the weight and the bias that this layer has in `quantized`, in reals.
Graph with_layer_of(const Graph& graph, const Graph& quantized, const Layer& layer) {
  Graph result = graph, other = quantized;
  OpenGraphs open(result);
  const OpenGraphs open_other(other);
  const Place from = find_layer(open_other, layer.name), to = find_layer(open, layer.name);
  const Node& source = from.scope->graph->node(from.node);
  Graph& target = *to.scope->graph;
  for (size_t i = 1; i < 3; ++i) {
    if (!source.input(i)) continue;
    // Branches may share it.
    const auto [around, id] = from.scope->origin(source.inputs[i]);
    const Value& value = around->graph->value(id);
    if (!value.is_constant()) continue;
    const ValueId rounded =
        target.add_constant(target.unique_value_name("rounded"), real_constant(value));
    Node& node = target.node(to.node);
    if (node.inputs.size() <= i) node.inputs.resize(i + 1);
    node.inputs[i] = rounded;
  }
  open.close();
  return result;
}

// What the budget leaves for weights, and what each choice costs, in the same unit.
struct Costs {
  bool in_bytes = false;
  int64_t available = 0;
  std::vector<std::vector<int64_t>> of;  // by layer and choice
};

Costs find_costs(const Budget& budget, const Candidates& candidates, const Variants& variants,
                 const Target& target, int64_t reserved) {
  Costs costs{.in_bytes = budget.file_bytes.has_value()};
  int64_t all_weights = 0;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    all_weights += candidates.weights[i];
    costs.of.emplace_back();
    for (const int bits : candidates.bits[i]) costs.of[i].push_back(bits * candidates.weights[i]);
  }
  if (!costs.in_bytes) {
    // Rounding must not make 4.1 bits of 10 weights 40.999.
    const double bits = *budget.average_weight_bits * static_cast<double>(all_weights);
    costs.available = static_cast<int64_t>(std::floor(bits + 1e-6));
    return costs;
  }
  // What the file holds beside the weights differs a little with the bits: by how zero points are
  // stored, and by the version of ONNX that has the types.
  std::map<int, std::map<std::string, int64_t>> stored;
  int64_t beside = 0;
  for (const auto& [bits, graph] : variants.all()) {
    stored[bits] = stored_weight_bytes(graph, target);
    int64_t bytes = size_as_onnx(graph, target);
    for (const Layer& layer : candidates.layers) bytes -= stored[bits].at(layer.name);
    beside = std::max(beside, bytes);
  }
  costs.available = *budget.file_bytes - beside - reserved;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    for (size_t k = 0; k < candidates.bits[i].size(); ++k) {
      const int bits = variants.bits_of(candidates.bits[i][k]);
      costs.of[i][k] = stored.at(bits).at(candidates.layers[i].name);
    }
  }
  return costs;
}

[[noreturn]] void refuse(const Costs& costs, const Candidates& candidates, const Budget& budget) {
  int64_t least = 0, weights = 0;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    least += costs.of[i].back();
    weights += candidates.weights[i];
  }
  if (costs.in_bytes) {
    fail(ErrorCode::invalid_argument, "a file of {} bytes cannot be had: the least is about {}",
         *budget.file_bytes, *budget.file_bytes - costs.available + least);
  }
  fail(ErrorCode::invalid_argument,
       "an average of {} bits cannot be had: the least is {:.3f} (the first and the last layers "
       "have 8 bits unless that is switched off)",
       *budget.average_weight_bits, static_cast<double>(least) / static_cast<double>(weights));
}

double average_bits(const Candidates& candidates, const std::vector<size_t>& chosen) {
  int64_t bit_sum = 0, weight_sum = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    bit_sum += candidates.bits[i][chosen[i]] * candidates.weights[i];
    weight_sum += candidates.weights[i];
  }
  return static_cast<double>(bit_sum) / static_cast<double>(weight_sum);
}

std::vector<FrontPoint> find_front(const std::vector<std::vector<KnapsackOption>>& items,
                                   const Candidates& candidates, const Costs& costs,
                                   const Budget& budget) {
  constexpr size_t kPoints = 200;
  std::vector<FrontPoint> front;
  for (const KnapsackPoint& point : knapsack_front(items, kPoints)) {
    FrontPoint one{.average_weight_bits = average_bits(candidates, point.chosen),
                   .sqnr_db = sqnr_db(1, point.loss)};
    if (costs.in_bytes) one.file_bytes = *budget.file_bytes - costs.available + point.cost;
    for (size_t i = 0; i < items.size(); ++i) {
      one.weight_bits[candidates.layers[i].name] = candidates.bits[i][point.chosen[i]];
    }
    front.push_back(std::move(one));
  }
  return front;
}

void check_budget(const Budget& budget, const ChooseOptions& options) {
  if (budget.average_weight_bits.has_value() == budget.file_bytes.has_value()) {
    fail(ErrorCode::invalid_argument,
         "a budget is either an average of bits or a file size, exactly one of them");
  }
  if (options.quantize.dynamic) {
    fail(ErrorCode::invalid_argument, "dynamic quantization is 8 bits: there is nothing to choose");
  }
}

}  // namespace

BitChoice choose_bits(const Graph& graph, const RangeReport& ranges, const Dataset& data,
                      const Budget& budget, const ChooseOptions& options) {
  check_budget(budget, options);
  const Graph prepared = prepare_for_quantization(graph);
  const Candidates candidates = find_candidates(prepared, options);
  if (candidates.layers.empty()) {
    fail(ErrorCode::invalid_argument, "the model has no layer whose weights can be quantized");
  }
  const Variants variants(prepared, ranges, data, candidates, options);
  const Costs costs = find_costs(budget, candidates, variants, find_target(options.quantize.target),
                                 options.reserved_bytes);
  const OutputProbe probe(prepared, data, options);

  BitChoice choice{.plan = given_plan(options)};
  std::vector<std::vector<KnapsackOption>> items;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    const Layer& layer = candidates.layers[i];
    std::vector<KnapsackOption> item;
    bool silent = true;
    for (size_t k = 0; k < candidates.bits[i].size(); ++k) {
      const int bits = candidates.bits[i][k];
      const double sqnr = probe.sqnr_of(with_layer_of(prepared, variants.at(bits), layer));
      choice.sensitivities.push_back({layer.name, bits, sqnr, candidates.weights[i]});
      item.push_back({costs.of[i][k], std::pow(10.0, -sqnr / 10)});
      silent = silent && sqnr == sqnr_db(1, 0);
    }
    // Of a body that never ran nothing was measured: its layers stay as they are.
    if (silent && is_in_body(prepared, layer)) item.resize(1);
    items.push_back(std::move(item));
    report_progress(options.progress, "measuring sensitivity", static_cast<int64_t>(i) + 1,
                    static_cast<int64_t>(candidates.layers.size()));
  }
  const auto chosen = solve_knapsack(items, costs.available);
  if (!chosen) refuse(costs, candidates, budget);
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    const int bits = candidates.bits[i][(*chosen)[i]];
    choice.plan.layers[candidates.layers[i].name] = {bits, options.activation_bits};
  }
  choice.average_weight_bits = average_bits(candidates, *chosen);
  choice.front = find_front(items, candidates, costs, budget);
  return choice;
}

}  // namespace nibble
