// Runs one operator through the op table, by its eval or by its prepared kernel.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "nibble/error.h"
#include "ops/op.h"
#include "ops/real_kernel.h"

namespace nibble::test {

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

/// Standard normal values.
inline Tensor random_tensor(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::f32, shape);
  Random random(seed);
  for (float& x : tensor.data<float>()) x = static_cast<float>(random.normal());
  return tensor;
}

/// Largest |a - b| / max(1, |b|).
inline double max_error(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  if (!(a.shape() == b.shape())) return INFINITY;
  double worst = 0;
  const auto x = a.data<float>();
  const auto y = b.data<float>();
  for (size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(double{x[i]} - double{y[i]});
    worst = std::fmax(worst, std::isnan(error) ? INFINITY : error / std::fmax(1, std::abs(y[i])));
  }
  return worst;
}

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace nibble::test
