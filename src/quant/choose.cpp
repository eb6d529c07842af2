// Bit-widths per layer from measured sensitivities and a budget.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "ops/roles.h"
#include "quant/file_size.h"
#include "quant/knapsack.h"
#include "quant/layers.h"
#include "ranges/grid.h"
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
  found.layers = find_layers(graph, given_plan(options), quantize_options);
  std::vector<NodeId> ids;
  for (const Layer& layer : found.layers) ids.push_back(layer.id);
  const std::vector<bool> ends = at_the_ends(graph, ids);
  for (size_t i = 0; i < found.layers.size(); ++i) {
    const auto fixed = options.fixed_weight_bits.find(found.layers[i].name);
    const bool is_fixed = fixed != options.fixed_weight_bits.end();
    std::vector<int> choices = is_fixed ? std::vector{fixed->second} : bits;
    // quantize() keeps these at 8 bits at least.
    if (options.quantize.first_and_last_8bit && ends[i])
      choices = {std::max(is_fixed ? choices[0] : 8, 8)};
    found.bits.push_back(std::move(choices));
    int64_t weights = 0;
    for (const size_t input : weight_inputs(graph.node(ids[i]))) {
      weights += graph.value(graph.node(ids[i]).inputs[input]).data.elements();
    }
    found.weights.push_back(weights);
  }
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
    for (const int bits : options.candidates) {
      BitPlan plan = given_plan(options);
      for (const Layer& layer : candidates.layers) {
        if (options.fixed_weight_bits.contains(layer.name)) continue;
        plan.layers[layer.name] = {bits, options.activation_bits};
      }
      graphs_.emplace(bits, quantize(graph, ranges, plan, quantize_options));
    }
  }

  const Graph& widest() const { return graphs_.rbegin()->second; }
  /// One in which a layer that may have `bits` bits has them. A layer without a choice has its bits
  /// in all of them.
  const Graph& at(int bits) const {
    const auto found = graphs_.find(bits);
    return found == graphs_.end() ? widest() : found->second;
  }

 private:
  std::map<int, Graph> graphs_;
};

Tensor real_constant(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

// `graph` with the weight and the bias that this layer has in `quantized`, in reals.
Graph with_layer_of(const Graph& graph, const Graph& quantized, const Layer& layer) {
  Graph result = graph;
  const std::vector<NodeId> nodes = quantized.nodes();
  const auto found =
      std::ranges::find_if(nodes, [&](NodeId id) { return quantized.node(id).name == layer.name; });
  check(found != nodes.end(), "quantize() keeps the names of layers");
  const Node& source = quantized.node(*found);
  for (size_t i = 1; i < 3; ++i) {
    if (!source.input(i) || !quantized.value(source.inputs[i]).is_constant()) continue;
    const ValueId rounded = result.add_constant(result.unique_value_name("rounded"),
                                                real_constant(quantized.value(source.inputs[i])));
    Node& node = result.node(layer.id);
    if (node.inputs.size() <= i) node.inputs.resize(i + 1);
    node.inputs[i] = rounded;
  }
  return result;
}

// What the budget leaves for weights, and what each choice costs, in the same unit.
struct Costs {
  bool in_bytes = false;
  int64_t available = 0;
  std::vector<std::vector<int64_t>> of;  // by layer and choice
};

Costs find_costs(const Budget& budget, const Candidates& candidates, const Variants& variants,
                 const Target& target) {
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
  std::map<int, std::map<std::string, int64_t>> stored;
  const auto bytes_at = [&](int bits, const std::string& layer) {
    if (!stored.contains(bits)) stored[bits] = stored_weight_bytes(variants.at(bits), target);
    return stored[bits].at(layer);
  };
  costs.available = *budget.file_bytes - estimate_file_bytes(variants.widest(), target);
  const std::map<std::string, int64_t> widest = stored_weight_bytes(variants.widest(), target);
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    const std::string& name = candidates.layers[i].name;
    costs.available += widest.at(name);
    for (size_t k = 0; k < candidates.bits[i].size(); ++k) {
      costs.of[i][k] = bytes_at(candidates.bits[i][k], name);
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
  const Costs costs =
      find_costs(budget, candidates, variants, find_target(options.quantize.target));
  const OutputProbe probe(prepared, data, options);

  BitChoice choice{.plan = given_plan(options)};
  std::vector<std::vector<KnapsackOption>> items;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    const Layer& layer = candidates.layers[i];
    std::vector<KnapsackOption> item;
    for (size_t k = 0; k < candidates.bits[i].size(); ++k) {
      const int bits = candidates.bits[i][k];
      const double sqnr = probe.sqnr_of(with_layer_of(prepared, variants.at(bits), layer));
      choice.sensitivities.push_back({layer.name, bits, sqnr, candidates.weights[i]});
      item.push_back({costs.of[i][k], std::pow(10.0, -sqnr / 10)});
    }
    items.push_back(std::move(item));
    report_progress(options.progress, "measuring sensitivity", static_cast<int64_t>(i) + 1,
                    static_cast<int64_t>(candidates.layers.size()));
  }
  const auto chosen = solve_knapsack(items, costs.available);
  if (!chosen) refuse(costs, candidates, budget);
  int64_t bit_sum = 0, weight_sum = 0;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    const int bits = candidates.bits[i][(*chosen)[i]];
    choice.plan.layers[candidates.layers[i].name] = {bits, options.activation_bits};
    bit_sum += bits * candidates.weights[i];
    weight_sum += candidates.weights[i];
  }
  choice.average_weight_bits = static_cast<double>(bit_sum) / static_cast<double>(weight_sum);
  return choice;
}

}  // namespace nibble
