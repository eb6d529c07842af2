#include "passes/evaluate.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/lengths.h"
#include "base/thread_pool.h"
#include "nibble/error.h"
#include "ops/op.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, 6> kRandom = {"RandomNormal",     "RandomUniform",
                                                     "RandomNormalLike", "RandomUniformLike",
                                                     "Multinomial",      "Bernoulli"};

// Their results have a shape that depends on the data, but are no larger than their inputs.
constexpr std::array<std::string_view, 3> kSelecting = {"NonZero", "Compress", "Unique"};
constexpr int64_t kMaxResult = int64_t{1} << 28U;  // bytes

bool has_subgraph(const Node& node) {
  return std::ranges::any_of(node.attributes, [](const auto& item) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(item.second);
  });
}

// A small file may ask for a huge result (ConstantOfShape, Range, Tile): the types tell before
// anything is allocated.
bool results_are_small(const OpRow& row, const Node& node, int opset,
                       std::span<const Tensor> inputs) {
  std::vector<TensorType> types;
  for (const Tensor& input : inputs) {
    types.push_back(input.empty() ? TensorType{}
                                  : TensorType{input.dtype(), input.shape(), std::nullopt});
  }
  // Shape and Size are given tensors without data: there is nothing to look at in them.
  const bool has_data = node.op != "Shape" && node.op != "Size";
  const NodeTypes node_types(node, opset, types, has_data ? inputs : std::span<const Tensor>());
  for (const TensorType& type : row.infer.function(node_types)) {
    if (!type.shape.is_static()) {
      if (std::ranges::find(kSelecting, node.op) == kSelecting.end()) return false;
      continue;
    }
    int64_t bytes = std::max(bits_of(type.dtype) / 8, 1);
    for (int64_t dim : type.shape) {
      if (__builtin_mul_overflow(bytes, dim, &bytes) || bytes > kMaxResult) return false;
    }
  }
  return true;
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
  if (row == nullptr || !row->eval || !row->infer) return std::nullopt;
  static thread_local ThreadPool pool(1);
  const auto evaluate = [&]() -> std::optional<std::vector<Tensor>> {
    check_arity(node, *row);
    if (!results_are_small(*row, node, opset, inputs)) return std::nullopt;
    std::vector<Tensor> outputs(node.outputs.size());
    EvalContext context(node, opset, inputs, outputs, pool);
    row->eval.function(context);
    return outputs;
  };
  try {
    return with_lengths_from_model(evaluate);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::unsupported) return std::nullopt;
    throw;
  }
}

Tensor real_constant(const Value& value) {
  return value.type.quant ? dequantize_tensor(value.data, *value.type.quant) : value.data;
}

}  // namespace nibble
