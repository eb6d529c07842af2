#include "quant/candidates.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/rounding.h"

namespace nibble {
namespace {

// Widest first, each once.
std::vector<int> widths(const ChooseOptions& options) {
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
  return bits;
}

}  // namespace

double Candidates::average_bits(const std::vector<size_t>& chosen) const {
  int64_t bit_sum = 0, weight_sum = 0;
  for (size_t i = 0; i < chosen.size(); ++i) {
    if (bits_of(i, chosen) == kFloat) continue;
    bit_sum += bits_of(i, chosen) * weights[i];
    weight_sum += weights[i];
  }
  return weight_sum == 0 ? 0 : static_cast<double>(bit_sum) / static_cast<double>(weight_sum);
}

BitPlan given_plan(const ChooseOptions& options) {
  BitPlan plan{.fallback = {8, options.activation_bits}, .layers = {}};
  for (const auto& [node, bits] : options.fixed_weight_bits) {
    plan.layers[node] = {bits, options.activation_bits};
  }
  for (const std::string& node : options.quantize.skip)
    plan.layers[node] = {kFloat, options.activation_bits};
  return plan;
}

BitPlan plan_of(const Candidates& candidates, const std::vector<size_t>& chosen,
                const ChooseOptions& options) {
  BitPlan plan = given_plan(options);
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    plan.layers[candidates.layers[i].name] = {candidates.bits_of(i, chosen),
                                              options.activation_bits};
  }
  return plan;
}

Candidates find_candidates(const Graph& graph, const ChooseOptions& options, bool in_float) {
  std::vector<int> bits = widths(options);
  if (in_float) bits.insert(bits.begin(), kFloat);
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
        if (is_fixed) {
          choices = {std::max(choices[0], 8)};
        } else {
          choices = in_float ? std::vector{kFloat, 8} : std::vector{8};
        }
        if (layer.quantizes_data()) {
          layer.bits.activation_bits = std::max(layer.bits.activation_bits, 8);
        }
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
  if (found.layers.empty()) {
    fail(ErrorCode::invalid_argument, "the model has no layer whose weights can be quantized");
  }
  return found;
}

QuantizeOptions options_of_variants(const ChooseOptions& options, const Dataset& data) {
  QuantizeOptions made = options.quantize;
  if (made.samples == nullptr) made.samples = &data;
  if (find_rounding(made.rounding).refine != nullptr) made.rounding = "nearest";
  return made;
}

Variants::Variants(const Graph& graph, const RangeReport& ranges, const Dataset& data,
                   const Candidates& candidates, const ChooseOptions& options) {
  const QuantizeOptions quantize_options = options_of_variants(options, data);
  std::set<int> all(options.candidates.begin(), options.candidates.end());
  for (const std::vector<int>& bits : candidates.bits) {
    if (bits[0] == kFloat) all.insert(kFloat);
  }
  for (const int bits : all) {
    BitPlan plan = given_plan(options);
    for (const Layer& layer : candidates.layers) {
      if (options.fixed_weight_bits.contains(layer.name)) continue;
      plan.layers[layer.name] = {bits, options.activation_bits};
    }
    graphs_.emplace(bits, quantize(graph, ranges, plan, quantize_options));
  }
}

std::vector<size_t> Variants::chosen_in(int bits, const Candidates& candidates) {
  std::vector<size_t> chosen;
  for (const std::vector<int>& options : candidates.bits) {
    const auto at = std::ranges::find(options, bits);
    // Of one that goes no lower, its last.
    chosen.push_back(static_cast<size_t>(at - options.begin()) - (at == options.end() ? 1 : 0));
  }
  return chosen;
}

}  // namespace nibble
