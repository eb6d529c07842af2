// Networks with bodies: branches of an If, the body of a Loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/networks.h"

namespace nibble::testing {

/// A body, built node by node. What it captures is named as around it.
class BodyBuilder {
 public:
  ValueId capture(const std::string& name, DType dtype = DType::f32) {
    return graph.add_value(name, {.dtype = dtype});
  }
  ValueId input(const std::string& name, TensorType type) {
    graph.inputs.push_back(graph.add_value(name, std::move(type)));
    return graph.inputs.back();
  }
  /// The result is named as the node, with "_y".
  ValueId add(Node node) {
    const ValueId result = graph.add_value(node.name + "_y", {.dtype = DType::f32});
    node.outputs = {result};
    graph.add_node(std::move(node));
    return result;
  }
  ValueId matmul(const std::string& name, ValueId data, ValueId weight) {
    return add({.op = "MatMul", .name = name, .inputs = {data, weight}});
  }
  std::shared_ptr<const Graph> finish(std::vector<ValueId> outputs) {
    graph.outputs = std::move(outputs);
    return std::make_shared<const Graph>(graph);
  }

  Graph graph;
};

/// Whether the sum over x is greater than `least`.
inline ValueId sum_exceeds(NetworkBuilder& net, ValueId x, float least) {
  Node sum{.op = "ReduceSum", .name = "sum", .inputs = {x}};
  sum.attributes.set("keepdims", int64_t{0});
  const ValueId total = net.add(std::move(sum));
  const ValueId limit = net.constant("limit", Tensor::scalar(least));
  const ValueId condition =
      net.add({.op = "Greater", .name = "condition", .inputs = {total, limit}});
  net.graph.value(condition).type.dtype = DType::boolean;
  return condition;
}

inline ValueId choose(NetworkBuilder& net, ValueId condition, std::vector<ValueId> captures,
                      std::shared_ptr<const Graph> then, std::shared_ptr<const Graph> otherwise) {
  Node node{.op = "If", .name = "if", .inputs = {condition}, .captures = std::move(captures)};
  node.attributes.set("then_branch", std::move(then));
  node.attributes.set("else_branch", std::move(otherwise));
  return net.add(std::move(node));
}

/// The body at this attribute of the node of this name.
inline const Graph& body_of(const Graph& graph, const std::string& node,
                            const std::string& attribute) {
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).name != node) continue;
    return *std::get<std::shared_ptr<const Graph>>(*graph.node(id).attributes.find(attribute));
  }
  throw std::out_of_range(node);
}

inline const Value& value_of(const Graph& graph, const std::string& name) {
  return graph.value(graph.find_value(name).value());
}

}  // namespace nibble::testing
