#include "nibble/target.h"

#include <algorithm>

#include "base/table.h"
#include "passes/insert_qdq.h"
#include "passes/targets/list.h"

namespace nibble {
namespace {

bool is_zero_everywhere(const std::vector<int32_t>& zero_point) {
  return std::ranges::all_of(zero_point, [](int32_t z) { return z == 0; });
}

bool is_integer_operator(const Node& node) {
  return node.domain.empty() && opset_of_integer_operator(node.op) > 0 &&
         node.op != "QuantizeLinear" && node.op != "DequantizeLinear";
}

}  // namespace

std::span<const Target> targets() {
  static const std::vector<Target> rows = target_rows();
  return rows;
}

const Target& find_target(std::string_view name) { return find_row(targets(), "target", name); }

std::vector<Choice> target_choices() { return choices_of(targets()); }

const Target& default_target() { return targets()[0]; }

std::optional<std::string> why_not_written(const Graph& graph, const Target& target) {
  std::vector<std::string> reasons = reasons_not_written(graph, target);
  if (reasons.empty()) return std::nullopt;
  return std::move(reasons[0]);
}

std::vector<std::string> reasons_not_written(const Graph& graph, const Target& target) {
  std::vector<std::string> reasons;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (target.integer_operators || !is_integer_operator(node)) continue;
    reasons.push_back(fmt::format("{} has no {}; quantize statically, for the target {}",
                                  target.title, describe(node), target.name));
  }
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.type.quant || value.type.quant->storage == DType::i32) continue;
    const QuantParams& quant = *value.type.quant;
    const bool symmetric = is_signed(quant.storage) && is_zero_everywhere(quant.zero_point);
    const bool fits = bits_of(quant.storage) <= target.most_bits;
    if (fits && (symmetric || !target.symmetric_activations)) continue;
    reasons.push_back(
        fmt::format("{} needs {}types of at most {} bits, but '{}' is {}; quantize for the "
                    "target {}",
                    target.title, target.symmetric_activations ? "symmetric signed " : "",
                    target.most_bits, value.name, to_string(value.type), target.name));
  }
  return reasons;
}

}  // namespace nibble
