#include "passes/evaluate.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/thread_pool.h"
#include "nibble/error.h"
#include "ops/op.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, 6> kRandom = {"RandomNormal",     "RandomUniform",
                                                     "RandomNormalLike", "RandomUniformLike",
                                                     "Multinomial",      "Bernoulli"};

bool has_subgraph(const Node& node) {
  return std::ranges::any_of(node.attributes, [](const auto& item) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(item.second);
  });
}

}  // namespace

bool is_pure(const Node& node) {
  if (node.domain.empty() && std::ranges::find(kRandom, node.op) != kRandom.end()) return false;
  if (node.op == "Dropout" && node.inputs.size() > 2) return false;  // may be training
  const OpRow* row = find_op(node.op, node.domain);
  return row != nullptr && row->eval && !has_subgraph(node);
}

std::optional<std::vector<Tensor>> evaluate_node(const Node& node, int opset,
                                                 std::span<const Tensor> inputs) {
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || !row->eval) return std::nullopt;
  static thread_local ThreadPool pool(1);
  std::vector<Tensor> outputs(node.outputs.size());
  try {
    EvalContext context(node, opset, inputs, outputs, pool);
    row->eval.function(context);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unsupported) return std::nullopt;
    throw;
  }
  return outputs;
}

Tensor real_constant(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

}  // namespace nibble
