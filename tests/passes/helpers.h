// Small graphs, and the two questions every pass is asked: does the result validate, and does it
// compute the same?
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "nibble/error.h"
#include "nibble/graph.h"
#include "nibble/runtime.h"

namespace nibble::testing {

/// Builds a graph node by node; values are found by name.
class Builder {
 public:
  explicit Builder(int opset = 17) { graph.opsets[""] = opset; }

  ValueId input(const std::string& name, const Shape& shape, DType dtype = DType::f32) {
    graph.inputs.push_back(graph.add_value(name, {.dtype = dtype, .shape = shape, .quant = {}}));
    return graph.inputs.back();
  }
  /// Uniform in [low, high), always the same for the same name and shape.
  ValueId weights(const std::string& name, const Shape& shape, float low = -1, float high = 1) {
    Tensor data(DType::f32, shape);
    uint32_t state = 12345;
    for (float& value : data.data<float>()) {
      state = state * 1664525U + 1013904223U;
      value = low + (high - low) * static_cast<float>(state >> 8U) / 16777216.0F;
    }
    return graph.add_constant(name, std::move(data));
  }
  template <typename T>
  ValueId constant(const std::string& name, const Shape& shape, std::vector<T> values) {
    return graph.add_constant(name, Tensor::of<T>(shape, std::span<const T>(values)));
  }
  /// Adds a node whose name is "node_" and the name of its first output.
  ValueId node(const std::string& op, std::vector<ValueId> inputs, const std::string& output,
               const Attributes& attributes = {}) {
    const ValueId result = graph.add_value(output, {});
    graph.add_node({.op = op,
                    .name = "node_" + output,
                    .inputs = std::move(inputs),
                    .outputs = {result},
                    .attributes = attributes});
    return result;
  }
  void output(ValueId id) { graph.outputs.push_back(id); }

  Graph graph;
};

inline Attributes attributes(std::initializer_list<std::pair<const char*, Attribute>> items) {
  Attributes result;
  for (const auto& [name, value] : items) result.set(name, value);
  return result;
}

inline std::vector<Tensor> run(const Graph& graph,
                               Arithmetic arithmetic = Arithmetic::fake_quantize) {
  Program program = compile(graph, {.arithmetic = arithmetic, .optimize = false});
  std::vector<Tensor> inputs;
  for (ValueId id : graph.inputs) {
    Builder source;
    Shape shape = graph.value(id).type.shape;
    for (int axis = 0; axis < shape.rank(); ++axis) shape[axis] = std::abs(shape[axis]);
    inputs.push_back(source.graph.value(source.weights("x", shape, -2, 2)).data);
  }
  std::vector<Tensor> outputs;
  for (const Tensor& result : program.run(inputs)) outputs.push_back(result.clone());
  return outputs;
}

/// Largest absolute difference over all outputs; infinity if shapes differ.
inline double difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!(a[i].shape() == b[i].shape()) || a[i].dtype() != b[i].dtype()) return INFINITY;
    const Tensor x = convert(a[i], DType::f64);
    const Tensor y = convert(b[i], DType::f64);
    for (size_t k = 0; k < static_cast<size_t>(x.elements()); ++k) {
      worst = std::max(worst, std::abs(x.data<double>()[k] - y.data<double>()[k]));
    }
  }
  return worst;
}

/// Runs `pass`; the result validates, computes the same, and has nothing left to do.
inline int check_pass(Graph& graph, int (*pass)(Graph&), double tolerance = 1e-5) {
  const std::vector<Tensor> before = run(graph);
  const int changes = pass(graph);
  graph.validate();
  EXPECT_LE(difference(run(graph), before), tolerance) << to_text(graph);
  const std::string text = to_text(graph);
  EXPECT_EQ(pass(graph), 0) << "not idempotent:\n" << text << "became\n" << to_text(graph);
  return changes;
}

inline int count_ops(const Graph& graph, std::string_view op) {
  int count = 0;
  for (NodeId id : graph.nodes()) count += graph.node(id).op == op ? 1 : 0;
  return count;
}

}  // namespace nibble::testing
