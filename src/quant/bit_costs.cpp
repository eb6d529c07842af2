#include "quant/bit_costs.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/check.h"
#include "onnx/model_size.h"
#include "passes/every_graph.h"
#include "quant/layer_macs.h"
#include "quant/stored_weights.h"

namespace nibble {
namespace {

constexpr int kFloatBits = 32;

int bits_or_float(int bits) { return bits == 0 ? kFloatBits : bits; }

Costs bytes(int64_t limit, const Candidates& candidates, const Variants& variants,
            const ChooseOptions& options) {
  // What the file holds beside the weights differs a little with the bits: by how zero points are
  // stored, and by the version of ONNX that has the types.
  const Target& target = find_target(options.quantize.target);
  std::map<int, std::map<std::string, int64_t>> stored;
  Costs costs{.limit = limit};
  for (const auto& [bits, graph] : variants.all()) {
    stored[bits] = stored_weight_bytes(graph, target);
    int64_t beside = size_as_onnx(graph, target);
    for (const Layer& layer : candidates.layers) beside -= stored[bits].at(layer.name);
    costs.fixed = std::max(costs.fixed, beside + options.reserved_bytes);
  }
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    costs.of.emplace_back();
    for (const int bits : candidates.bits[i]) {
      costs.of[i].push_back(stored.at(variants.bits_of(bits)).at(candidates.layers[i].name));
    }
  }
  return costs;
}

Costs weight_bits(double average, const Candidates& candidates) {
  Costs costs;
  int64_t weights = 0;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    weights += candidates.weights[i];
    costs.of.emplace_back();
    for (const int bits : candidates.bits[i]) costs.of[i].push_back(bits * candidates.weights[i]);
  }
  // Rounding must not make 4.1 bits of 10 weights 40.999.
  costs.limit = static_cast<int64_t>(std::floor(average * static_cast<double>(weights) + 1e-6));
  return costs;
}

Costs operations_of(double limit, const Candidates& candidates, const BitOperations& operations) {
  if (operations.unknown()) {
    fail(ErrorCode::invalid_argument,
         "bit operations are not known: those of '{}' depend on a size that the model leaves open; "
         "choose another budget, --max-size say",
         *operations.unknown());
  }
  Costs costs{.fixed = operations.fixed(), .limit = static_cast<int64_t>(std::min(limit, 0x1p62))};
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    costs.of.emplace_back();
    for (const int bits : candidates.bits[i]) costs.of[i].push_back(operations.of(i, bits));
  }
  return costs;
}

}  // namespace

BitOperations::BitOperations(const Graph& graph, const Candidates& candidates,
                             const ChooseOptions& options)
    : candidates_(candidates) {
  const auto macs = macs_by_node(graph);
  for (const auto& [node, count] : macs) {
    if (!count && !unknown_) unknown_ = node;
  }
  if (unknown_) return;
  std::set<std::string> counted;
  for (const Layer& layer : candidates.layers) {
    const auto known = macs.find(layer.name);
    macs_.push_back(known == macs.end() ? 0 : *known->second);
    counted.insert(layer.name);
  }
  const BitPlan plan = given_plan(options);
  visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
    for (const Layer& product : find_products(one, path, plan, options.quantize)) {
      const auto known = macs.find(product.name);
      if (known == macs.end() || !counted.insert(product.name).second) continue;
      const int bits = bits_or_float(product.bits.activation_bits);
      fixed_ += *known->second * bits * bits;
    }
  });
  for (const auto& [node, count] : macs) {
    if (!counted.contains(node)) fixed_ += *count * kFloatBits * kFloatBits;
  }
}

int64_t BitOperations::of(size_t layer, int weight_bits) const {
  const int data = weight_bits == kFloat ? 0 : candidates_.layers[layer].bits.activation_bits;
  return macs_[layer] * bits_or_float(weight_bits) * bits_or_float(data);
}

std::optional<double> BitOperations::of_network(const std::vector<size_t>& chosen) const {
  if (unknown_) return std::nullopt;
  int64_t sum = fixed_;
  for (size_t i = 0; i < chosen.size(); ++i) sum += of(i, candidates_.bits_of(i, chosen));
  return static_cast<double>(sum);
}

Costs find_costs(const Budget& budget, const Candidates& candidates, const Variants& variants,
                 const BitOperations& operations, const ChooseOptions& options) {
  if (budget.file_bytes) return bytes(*budget.file_bytes, candidates, variants, options);
  if (budget.bit_operations) return operations_of(*budget.bit_operations, candidates, operations);
  return weight_bits(*budget.average_weight_bits, candidates);
}

void refuse(const Budget& budget, const Costs& costs, const Candidates& candidates) {
  constexpr std::string_view kEnds =
      "the first and the last layers have 8 bits unless that is switched off (--no-8bit-ends)";
  int64_t least = costs.fixed, weights = 0;
  for (size_t i = 0; i < candidates.layers.size(); ++i) {
    least += std::ranges::min(costs.of[i]);
    weights += candidates.weights[i];
  }
  if (budget.file_bytes) {
    fail(ErrorCode::invalid_argument, "a file of {} bytes cannot be had: the least is about {}",
         *budget.file_bytes, least);
  }
  if (budget.bit_operations) {
    fail(ErrorCode::invalid_argument,
         "{:.4g} bit operations cannot be had: the least is {:.4g} ({})", *budget.bit_operations,
         static_cast<double>(least), kEnds);
  }
  fail(ErrorCode::invalid_argument, "an average of {} bits cannot be had: the least is {:.3f} ({})",
       *budget.average_weight_bits, static_cast<double>(least) / static_cast<double>(weights),
       kEnds);
}

}  // namespace nibble
