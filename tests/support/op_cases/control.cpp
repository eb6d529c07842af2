// If, Loop and Scan with bodies of one or two nodes.
#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

using Body = std::shared_ptr<const Graph>;

ValueId typed(Graph& graph, const std::string& name, DType dtype, const Shape& shape) {
  return graph.add_value(name, {.dtype = dtype, .shape = shape, .quant = {}});
}

ValueId node(Graph& graph, const std::string& op, std::vector<ValueId> inputs, DType dtype,
             const Shape& shape) {
  const ValueId out = typed(graph, graph.unique_value_name(op + "_out"), dtype, shape);
  graph.add_node({.op = op,
                  .name = graph.unique_node_name(op),
                  .inputs = std::move(inputs),
                  .outputs = {out}});
  return out;
}

Body branch(float value) {
  Graph graph;
  const ValueId constant = graph.add_constant("value", f32({1}, {value}));
  graph.outputs = {node(graph, "Identity", {constant}, DType::f32, {1})};
  return std::make_shared<const Graph>(std::move(graph));
}

// x -> x + x, which is also stacked.
Body doubling() {
  Graph graph;
  graph.inputs = {typed(graph, "i", DType::i64, {}), typed(graph, "going", DType::boolean, {}),
                  typed(graph, "x", DType::f32, {1})};
  const ValueId going = node(graph, "Identity", {graph.inputs[1]}, DType::boolean, {});
  const ValueId sum = node(graph, "Add", {graph.inputs[2], graph.inputs[2]}, DType::f32, {1});
  graph.outputs = {going, sum, node(graph, "Identity", {sum}, DType::f32, {1})};
  return std::make_shared<const Graph>(std::move(graph));
}

// A running sum.
Body summing() {
  Graph graph;
  graph.inputs = {typed(graph, "sum", DType::f32, {1}), typed(graph, "x", DType::f32, {1})};
  const ValueId sum = node(graph, "Add", {graph.inputs[0], graph.inputs[1]}, DType::f32, {1});
  graph.outputs = {sum, node(graph, "Identity", {sum}, DType::f32, {1})};
  return std::make_shared<const Graph>(std::move(graph));
}

}  // namespace

std::vector<OpCase> control_cases() {
  return {
      {"If",
       {boolean({}, {true})},
       {f32({1}, {5})},
       {{"then_branch", branch(5)}, {"else_branch", branch(7)}}},
      {"If",
       {boolean({}, {false})},
       {f32({1}, {7})},
       {{"then_branch", branch(5)}, {"else_branch", branch(7)}}},
      {"Loop",
       {i64({}, {3}), boolean({}, {true}), f32({1}, {1})},
       {f32({1}, {8}), f32({3, 1}, {2, 4, 8})},
       {{"body", doubling()}}},
      {"Scan",
       {f32({1}, {0}), f32({3, 1}, {1, 2, 3})},
       {f32({1}, {6}), f32({3, 1}, {1, 3, 6})},
       {{"body", summing()}, {"num_scan_inputs", int64_t{1}}}},
  };
}

}  // namespace nibble::testing
