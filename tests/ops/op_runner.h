// Runs one operator through the op table, by its eval or by its prepared kernel.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "nibble/error.h"
#include "ops/movement/transpose.h"
#include "ops/op.h"
#include "ops/real_kernel.h"
#include "support/tensors.h"

namespace nibble::test {

using testing::max_error;
using testing::random_tensor;
using testing::same_bytes;

inline Node make_node(std::string op, size_t inputs, Attributes attributes = {},
                      size_t outputs = 1) {
  Node node;
  node.op = std::move(op);
  for (size_t i = 0; i < inputs; ++i) node.inputs.push_back({static_cast<int32_t>(i)});
  for (size_t i = 0; i < outputs; ++i) {
    node.outputs.push_back({static_cast<int32_t>(inputs + i)});
  }
  node.attributes = std::move(attributes);
  return node;
}

inline Attributes make_attributes(std::vector<std::pair<std::string, Attribute>> items) {
  Attributes attributes;
  for (auto& [name, value] : items) attributes.set(name, std::move(value));
  return attributes;
}

inline std::vector<Tensor> run_eval(const Node& node, const std::vector<Tensor>& inputs,
                                    int threads = 1, int opset = 21) {
  ThreadPool pool(threads);
  std::vector<Tensor> outputs(node.outputs.size());
  EvalContext context(node, opset, inputs, outputs, pool);
  require_op(node, opset).eval.function(context);
  return outputs;
}

/// Types of the inputs; `constants` names those that are known when preparing.
struct Typed {
  std::vector<TensorType> types;
  std::vector<Tensor> constants;
  Typed(const std::vector<Tensor>& inputs, const std::vector<bool>& constant) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      types.push_back({.dtype = inputs[i].dtype(), .shape = inputs[i].shape(), .quant = {}});
      constants.push_back(i < constant.size() && constant[i] ? inputs[i] : Tensor());
    }
  }
};

inline std::vector<TensorType> run_infer(const Node& node, const std::vector<Tensor>& inputs,
                                         const std::vector<bool>& constant = {}, int opset = 21) {
  const Typed typed(inputs, constant);
  const NodeTypes types(node, opset, typed.types, typed.constants);
  return require_op(node, opset).infer.function(types);
}

/// The prepared kernel's outputs; empty if the row has no kernel for these types.
inline std::vector<Tensor> run_prepared(const Node& node, const std::vector<Tensor>& inputs,
                                        const std::vector<bool>& constant, int threads = 1,
                                        int opset = 21) {
  const OpRow& row = require_op(node, opset);
  const Typed typed(inputs, constant);
  const NodeTypes types(node, opset, typed.types, typed.constants);
  const std::vector<TensorType> output_types = row.infer.function(types);
  const std::unique_ptr<Kernel> kernel =
      make_real_kernel(row, {.types = types, .outputs = output_types});
  if (kernel == nullptr) return {};
  std::vector<Tensor> outputs;
  for (const TensorType& type : output_types) outputs.emplace_back(type.dtype, type.shape);
  ThreadPool pool(threads);
  EvalContext context(node, opset, inputs, outputs, pool);
  Tensor workspace(DType::u8, {static_cast<int64_t>(kernel->workspace_bytes())});
  context.workspace = workspace.raw();
  kernel->run(context);
  return outputs;
}

/// f32 elements with axis i taken from axis axes[i].
inline Tensor permuted(const Tensor& tensor, const std::vector<int>& axes) {
  Shape shape;
  for (int axis : axes) shape.push_back(tensor.shape()[axis]);
  Tensor result(tensor.dtype(), shape);
  ThreadPool pool(1);
  permute(make_permutation(tensor.shape(), axes), 4, tensor.raw(), result.raw(), pool);
  return result;
}

}  // namespace nibble::test
