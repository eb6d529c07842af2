// f16 and bf16 become f32, but for the types of inputs and outputs.
#include "passes/helpers.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;
using testing::count_ops;
using testing::difference;

Tensor half(DType dtype, const Shape& shape, std::vector<float> values) {
  return convert(Tensor::of<float>(shape, std::span<const float>(values)), dtype);
}

std::vector<Tensor> run(const Graph& graph) {
  Program program = compile(graph, {});
  std::vector<Tensor> inputs, outputs;
  for (ValueId id : graph.inputs) {
    const TensorType& type = graph.value(id).type;
    std::vector<float> values;
    for (int64_t i = 0; i < type.shape.elements(); ++i) {
      values.push_back(static_cast<float>(i % 7) - 3);
    }
    inputs.push_back(half(type.dtype, type.shape, values));
  }
  for (const Tensor& output : program.run(inputs)) outputs.push_back(output.clone());
  return outputs;
}

// y = x w + c, all of `dtype`.
Builder product(DType dtype) {
  Builder b;
  const ValueId w = b.graph.add_constant("w", half(dtype, {2, 2}, {1, 2, -3, 0.5F}));
  const ValueId c = b.graph.add_constant("c", half(dtype, {2}, {0.25F, -1}));
  const ValueId x = b.input("x", {3, 2}, dtype);
  const ValueId y = b.node("Add", {b.node("MatMul", {x, w}, "p"), c}, "y");
  b.graph.value(y).type = {.dtype = dtype, .shape = {3, 2}};
  b.output(y);
  return b;
}

int halves(const Graph& graph) {
  int count = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const DType dtype = graph.value({i}).type.dtype;
    count += dtype == DType::f16 || dtype == DType::bf16 ? 1 : 0;
  }
  return count;
}

TEST(widen_half, only_inputs_and_outputs_keep_their_types) {
  for (const DType dtype : {DType::f16, DType::bf16}) {
    Builder b = product(dtype);
    const auto before = run(b.graph);
    EXPECT_GT(widen_half(b.graph), 0);
    b.graph.validate();
    infer_types(b.graph);
    EXPECT_EQ(halves(b.graph), 2) << to_text(b.graph);
    EXPECT_EQ(b.graph.value(b.graph.inputs[0]).name, "x");
    EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
    EXPECT_EQ(b.graph.value(b.graph.outputs[0]).type.dtype, dtype);
    EXPECT_EQ(count_ops(b.graph, "Cast"), 2);
    EXPECT_EQ(difference(run(b.graph), before), 0.0);
    EXPECT_EQ(widen_half(b.graph), 0) << "not idempotent:\n" << to_text(b.graph);
  }
}

TEST(widen_half, a_graph_without_half_is_left_alone) {
  Builder b;
  b.output(b.node("Relu", {b.input("x", {2})}, "y"));
  EXPECT_EQ(widen_half(b.graph), 0);
}

// Weights only: Cast(w) of a constant to f32.
TEST(widen_half, casts_of_weights_have_nothing_left_to_do) {
  Builder b;
  const ValueId w = b.graph.add_constant("w", half(DType::f16, {2, 2}, {1, 2, -3, 0.5F}));
  const ValueId wide = b.node("Cast", {w}, "wide", attributes({{"to", int64_t{1}}}));
  b.output(b.node("MatMul", {b.input("x", {3, 2}), wide}, "y"));
  const auto before = testing::run(b.graph);
  EXPECT_GT(widen_half(b.graph), 0);
  infer_types(b.graph);
  EXPECT_EQ(eliminate_identities(b.graph), 1);
  EXPECT_EQ(difference(testing::run(b.graph), before), 0.0);
}

// f32 -> f16 -> layer -> f32: the Casts inside go.
TEST(widen_half, an_island_of_half_disappears) {
  Builder b;
  const ValueId w = b.graph.add_constant("w", half(DType::f16, {2, 2}, {1, 2, -3, 0.5F}));
  const ValueId x =
      b.node("Cast", {b.input("x", {3, 2})}, "narrow", attributes({{"to", int64_t{10}}}));
  b.output(b.node("Cast", {b.node("MatMul", {x, w}, "p")}, "y", attributes({{"to", int64_t{1}}})));
  EXPECT_GT(widen_half(b.graph), 0);
  infer_types(b.graph);
  eliminate_identities(b.graph);
  EXPECT_EQ(halves(b.graph), 0) << to_text(b.graph);
  EXPECT_EQ(count_ops(b.graph, "MatMul"), 1);
  EXPECT_LE(b.graph.nodes().size(), 2U) << to_text(b.graph);
}

TEST(widen_half, outputs_that_are_inputs_constants_or_read_on_keep_their_types) {
  Builder b;
  const ValueId x = b.input("x", {2}, DType::f16);
  const ValueId c = b.graph.add_constant("c", half(DType::f16, {2}, {1, 2}));
  const ValueId y = b.node("Add", {x, c}, "y");
  const ValueId z = b.node("Mul", {y, c}, "z");
  for (const ValueId made : {y, z}) {
    b.graph.value(made).type = {.dtype = DType::f16, .shape = {2}};
  }
  for (const ValueId output : {x, c, y, z}) b.output(output);
  const auto before = run(b.graph);
  EXPECT_GT(widen_half(b.graph), 0);
  b.graph.validate();
  infer_types(b.graph);
  for (const ValueId output : b.graph.outputs) {
    EXPECT_EQ(b.graph.value(output).type.dtype, DType::f16) << b.graph.value(output).name;
  }
  EXPECT_EQ(difference(run(b.graph), before), 0.0) << to_text(b.graph);
  EXPECT_EQ(widen_half(b.graph), 0);
}

// The branches of an If use the input by its name.
TEST(widen_half, bodies_read_the_widened_values) {
  Builder b;
  const ValueId x = b.input("x", {2}, DType::f16);
  const ValueId none = b.graph.add_constant("none", half(DType::f16, {}, {0}));
  const ValueId sum = b.node("ReduceSum", {x}, "s", attributes({{"keepdims", int64_t{0}}}));
  const ValueId condition = b.node("Greater", {sum, none}, "condition");
  Node branch{.op = "If", .name = "if", .inputs = {condition}};
  for (const char* op : {"Neg", "Relu"}) {
    Graph body;
    body.opsets = b.graph.opsets;
    const ValueId inner = body.add_value("x", {.dtype = DType::f16, .shape = {2}});
    const std::string name = std::string("r") + op;
    body.outputs = {body.add_value(name, {.dtype = DType::f16, .shape = {2}})};
    body.add_node({.op = op, .name = name, .inputs = {inner}, .outputs = body.outputs});
    branch.attributes.set(op == std::string("Neg") ? "then_branch" : "else_branch",
                          std::make_shared<const Graph>(std::move(body)));
  }
  branch.captures = {x};
  const ValueId y = b.graph.add_value("y", {.dtype = DType::f16, .shape = {2}});
  branch.outputs = {y};
  b.graph.add_node(std::move(branch));
  b.output(y);
  EXPECT_GT(widen_half(b.graph), 0);
  b.graph.validate();
  infer_types(b.graph);
  EXPECT_EQ(halves(b.graph), 2) << to_text(b.graph);
  const auto result = run(b.graph);
  EXPECT_EQ(result[0].dtype(), DType::f16);
  const Tensor wide = convert(result[0], DType::f32);
  EXPECT_EQ(wide.data<float>()[0], 0);  // Relu of -3 and -2
  EXPECT_EQ(widen_half(b.graph), 0);
}

}  // namespace
}  // namespace nibble
