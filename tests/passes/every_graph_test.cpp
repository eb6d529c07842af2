// Passes see the bodies of If, Loop and Scan.
#include "passes/every_graph.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nibble/onnx.h"
#include "passes/helpers.h"
#include "passes/pass.h"
#include "support/bodies.h"

namespace nibble {
namespace {

using testing::body_of;
using testing::BodyBuilder;
using testing::NetworkBuilder;
using testing::value_of;

ValueId known(NetworkBuilder& net, bool condition) {
  return net.graph.add_constant("condition", Tensor::of<bool>({}, {condition}));
}

// y = x * (a + a), where a is captured; in the other branch y = x.
Graph doubled(bool is_known = false) {
  NetworkBuilder net({2});
  const ValueId x = net.last;
  const ValueId a = net.constant("a", Tensor::of<float>({2}, {1, 2}));
  const ValueId condition = is_known ? known(net, true) : testing::sum_exceeds(net, x, 0);
  BodyBuilder then, otherwise;
  const ValueId inner = then.capture("a");
  const ValueId twice = then.add({.op = "Add", .name = "twice", .inputs = {inner, inner}});
  const ValueId product =
      then.add({.op = "Mul", .name = "product", .inputs = {then.capture("x"), twice}});
  const ValueId same =
      otherwise.add({.op = "Identity", .name = "same", .inputs = {otherwise.capture("x")}});
  testing::choose(net, condition, {a, x}, then.finish({product}), otherwise.finish({same}));
  return net.finish();
}

TEST(every_graph, constants_that_a_body_captures_are_folded_in_it) {
  Graph graph = doubled();
  testing::check_pass(graph, fold_constants);
  const Graph& then = body_of(graph, "if", "then_branch");
  EXPECT_EQ(testing::count_ops(then, "Add"), 0);
  const Value& folded = value_of(then, "twice_y");
  ASSERT_TRUE(folded.is_constant());
  EXPECT_EQ(folded.data.data<float>()[1], 4);
  EXPECT_FALSE(graph.find_value("a"));  // nobody else reads it
}

TEST(every_graph, a_body_does_not_give_what_it_captures) {
  Graph graph = doubled();
  testing::check_pass(graph, eliminate_identities);
  EXPECT_EQ(testing::count_ops(body_of(graph, "if", "else_branch"), "Identity"), 1);
}

TEST(every_graph, identities_and_batch_norms_go_from_bodies_too) {
  NetworkBuilder net({1, 2, 3, 3});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, 0);
  const auto branch = [&](const std::string& name) {
    NetworkBuilder inner({1, 2, 3, 3}, 7);
    inner.graph.inputs.clear();
    inner.add({.op = "Identity", .name = name + "_same", .inputs = {inner.last}});
    inner.conv(name + "_conv", inner.last, 2, 2);
    const auto row = [&](const std::string& part, std::vector<float> values) {
      return inner.constant(name + part, Tensor::of<float>({2}, std::span<const float>(values)));
    };
    inner.add({.op = "BatchNormalization",
               .name = name + "_norm",
               .inputs = {inner.last, row("_s", {1, 2}), row("_b", {0, 1}), row("_m", {1, 0}),
                          row("_v", {1, 4})}});
    inner.graph.outputs = {inner.last};
    return std::make_shared<const Graph>(inner.graph);
  };
  testing::choose(net, condition, {x}, branch("then"), branch("else"));
  Graph graph = net.finish();
  EXPECT_EQ(testing::check_pass(graph, eliminate_identities), 2);
  EXPECT_EQ(testing::check_pass(graph, fold_batch_norm), 2);
  EXPECT_EQ(body_of(graph, "if", "then_branch").nodes().size(), 1U);
}

// state = op(state, x), as often as it is said.
Graph looped(const std::string& op) {
  NetworkBuilder net({-1, 4});
  const ValueId x = net.last;
  BodyBuilder body;
  body.input("i", {.dtype = DType::i64, .shape = {}});
  const ValueId going = body.input("going", {.dtype = DType::boolean, .shape = {}});
  const ValueId state = body.input("state", {.dtype = DType::f32});
  Node node{.op = op, .name = "op", .inputs = {state, body.capture("x")}};
  if (op == "Concat") node.attributes.set("axis", int64_t{1});
  const ValueId next = body.add(std::move(node));
  const ValueId trips = net.constant("trips", Tensor::scalar<int64_t>(3));
  Node loop{.op = "Loop", .name = "loop", .inputs = {trips, ValueId{}, x}, .captures = {x}};
  loop.attributes.set("body", body.finish({going, next}));
  net.add(std::move(loop));
  return net.finish();
}

TEST(infer_types, a_state_that_an_iteration_keeps_has_the_shape_that_it_starts_with) {
  Graph graph = looped("Add");
  infer_types(graph);
  EXPECT_EQ(value_of(body_of(graph, "loop", "body"), "state").type.shape, (Shape{-1, 4}));
  EXPECT_EQ(graph.value(graph.outputs[0]).type.shape, (Shape{-1, 4}));
  infer_types(graph, {{"x", {2, 4}}});
  EXPECT_EQ(graph.value(graph.outputs[0]).type.shape, (Shape{2, 4}));
}

TEST(infer_types, what_changes_from_iteration_to_iteration_is_not_known) {
  Graph graph = looped("Concat");
  infer_types(graph, {{"x", {2, 4}}});
  EXPECT_EQ(value_of(body_of(graph, "loop", "body"), "state").type.shape, (Shape{2, -1}));
  EXPECT_EQ(graph.value(graph.outputs[0]).type.shape, (Shape{2, -1}));
  const Tensor x(DType::f32, {2, 4});
  EXPECT_EQ(compile(graph).run(std::span(&x, 1))[0].shape(), (Shape{2, 16}));
}

TEST(inline_branches, an_if_of_a_known_condition_is_its_branch) {
  Graph graph = doubled(true);
  EXPECT_EQ(testing::check_pass(graph, inline_branches), 1);
  ASSERT_EQ(graph.nodes().size(), 2U);
  EXPECT_EQ(graph.node(graph.nodes()[1]).name, "if/then_branch/product");
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "if");
}

// An If in a branch, whose own branches use what the outer branch computes and captures.
TEST(inline_branches, keeps_what_bodies_within_capture) {
  for (const bool condition : {true, false}) {
    NetworkBuilder net({2});
    const ValueId x = net.last;
    const ValueId sum = net.add({.op = "Add", .name = "inner_y", .inputs = {x, x}});
    const auto leaf = [&](const char* op, const char* name) {
      BodyBuilder body;
      const ValueId a = body.capture("inner_y"), b = body.capture("x");
      return body.finish({body.add({.op = op, .name = name, .inputs = {a, b}})});
    };
    // "inner_y" in the branch is not the one around it, which is wrong in ONNX and must not matter.
    const auto branch = [&](const char* name) {
      BodyBuilder body;
      const ValueId outer = body.capture("x");
      const ValueId own = body.add({.op = "Neg", .name = "inner", .inputs = {outer}});
      const ValueId yes = body.graph.add_value("unknown", {.dtype = DType::boolean});
      Node choose{.op = "If", .name = name, .inputs = {yes}, .captures = {own, outer}};
      choose.attributes.set("then_branch", leaf("Mul", "mul"));
      choose.attributes.set("else_branch", leaf("Sub", "sub"));
      return body.finish({body.add(std::move(choose))});
    };
    const ValueId unknown = net.graph.add_value("unknown", {.dtype = DType::boolean, .shape = {}});
    net.graph.inputs.push_back(unknown);
    testing::choose(net, known(net, condition), {x, unknown}, branch("first"), branch("second"));
    net.add({.op = "Add", .name = "both", .inputs = {net.last, sum}});
    Graph graph = net.finish();
    Program before = compile(graph, {.optimize = false});
    EXPECT_EQ(inline_branches(graph), 1);
    graph.validate();
    Program after = compile(graph, {.optimize = false});
    const Tensor data = Tensor::of<float>({2}, {3, 5});
    for (const bool way : {true, false}) {
      const std::vector<Tensor> inputs = {data, Tensor::of<bool>({}, {way})};
      EXPECT_TRUE(testing::same_bytes(before.run(inputs)[0], after.run(inputs)[0]));
    }
  }
}

TEST(share_constants_of_bodies, what_two_branches_hold_is_kept_once_around_them) {
  NetworkBuilder net({12});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, 0);
  const Tensor w = net.normal({12, 12}, 0.3);
  const auto branch = [&](const std::string& name, const Tensor& weight) {
    BodyBuilder body;
    return body.finish(
        {body.matmul(name, body.capture("x"), body.graph.add_constant(name + "_w", weight))});
  };
  testing::choose(net, condition, {x}, branch("then", w), branch("else", w.clone()));
  Graph graph = net.finish();
  const size_t size = serialize_onnx(graph).size();
  EXPECT_EQ(testing::check_pass(graph, share_constants_of_bodies), 1);
  EXPECT_TRUE(value_of(graph, "then_w").is_constant());
  EXPECT_LT(serialize_onnx(graph).size(), size - 12 * 12 * 4 + 100);
  // And the inverse gives each its own again.
  hand_constants_to_bodies(graph);
  EXPECT_TRUE(value_of(body_of(graph, "if", "else_branch"), "then_w").is_constant());
  EXPECT_EQ(value_of(body_of(graph, "if", "else_branch"), "then_w").data.raw(),
            value_of(graph, "then_w").data.raw());
}

TEST(share_constants_of_bodies, constants_of_other_bytes_or_grids_stay) {
  NetworkBuilder net({12});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, 0);
  const Tensor w = net.normal({12, 12}, 0.3);
  Tensor other = w.clone();
  other.data<float>()[7] += 1;
  const auto branch = [&](const std::string& name, const Tensor& weight) {
    BodyBuilder body;
    return body.finish(
        {body.matmul(name, body.capture("x"), body.graph.add_constant("w", weight))});
  };
  testing::choose(net, condition, {x}, branch("then", w), branch("else", other));
  Graph graph = net.finish();
  EXPECT_EQ(testing::check_pass(graph, share_constants_of_bodies), 0);
}

TEST(separate_names, a_body_defines_no_name_of_the_graph_around_it) {
  NetworkBuilder net({2});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, 0);
  const auto branch = [&](const char* op) {
    BodyBuilder body;
    const ValueId data = body.capture("x");
    const ValueId own = body.graph.add_value("condition", {.dtype = DType::f32});
    body.graph.add_node({.op = op, .name = "n", .inputs = {data, data}, .outputs = {own}});
    return body.finish({own});
  };
  testing::choose(net, condition, {x}, branch("Add"), branch("Mul"));
  Graph graph = net.finish();
  const auto before = testing::run(graph);
  separate_names(graph);
  EXPECT_FALSE(body_of(graph, "if", "then_branch").find_value("condition"));
  EXPECT_EQ(testing::difference(before, testing::run(graph)), 0);
}

// What another tool may write: a pair around the branch, a layer in it whose weight and scales are
// initializers around it.
TEST(fold_qdq, a_layer_in_a_branch_runs_on_codes_that_it_captures) {
  NetworkBuilder net({3, 4});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, 0);
  const ValueId scale = net.constant("scale", Tensor::scalar(0.05F));
  const ValueId zero = net.graph.add_constant("zero", Tensor::scalar<uint8_t>(128));
  const ValueId ws = net.constant("ws", Tensor::scalar(0.01F));
  const ValueId wz = net.graph.add_constant("wz", Tensor::scalar<int8_t>(0));
  std::vector<int8_t> codes;
  for (int i = 0; i < 128; ++i) codes.push_back(static_cast<int8_t>(i - 60));
  const ValueId w =
      net.graph.add_constant("w", Tensor::of<int8_t>({4, 32}, std::span<const int8_t>(codes)));
  const ValueId q = net.graph.add_value("q", {.dtype = DType::u8});
  net.graph.add_node(
      {.op = "QuantizeLinear", .name = "quantize", .inputs = {x, scale, zero}, .outputs = {q}});
  const ValueId r = net.add({.op = "DequantizeLinear", .name = "r", .inputs = {q, scale, zero}});
  const auto branch = [&](const std::string& name) {
    BodyBuilder body;
    const ValueId in_ws = body.capture("ws"), in_wz = body.capture("wz", DType::i8);
    const ValueId weight = body.add({.op = "DequantizeLinear",
                                     .name = name + "_w",
                                     .inputs = {body.capture("w", DType::i8), in_ws, in_wz}});
    const ValueId product = body.matmul(name, body.capture("r"), weight);
    const ValueId in_scale = body.capture("scale"), in_zero = body.capture("zero", DType::u8);
    const ValueId pair = body.graph.add_value(name + "_q", {.dtype = DType::u8});
    body.graph.add_node({.op = "QuantizeLinear",
                         .name = name + "_quantize",
                         .inputs = {product, in_scale, in_zero},
                         .outputs = {pair}});
    const ValueId real = body.add({.op = "DequantizeLinear",
                                   .name = name + "_dequantize",
                                   .inputs = {pair, in_scale, in_zero}});
    return body.finish({body.add({.op = "Relu", .name = name + "_relu", .inputs = {real}})});
  };
  testing::choose(net, condition, {w, ws, wz, r, scale, zero}, branch("then"), branch("else"));
  Graph graph = net.finish();
  graph.opsets[""] = 21;
  const Tensor data = testing::random_tensor({3, 4}, 3, 1, 1.0);
  const Tensor before = compile(graph, {.optimize = false}).run(std::span(&data, 1))[0].clone();
  EXPECT_GT(fold_qdq(graph), 0);
  graph.validate();
  const Graph& then = body_of(graph, "if", "then_branch");
  EXPECT_TRUE(value_of(then, "r").type.quant);
  EXPECT_TRUE(value_of(then, "then_y").type.quant);
  EXPECT_TRUE(value_of(graph, "then_w_y").type.quant);  // of both branches: kept once
  EXPECT_EQ(then.nodes().size(), 2U);
  Program program = compile(graph);
  EXPECT_LE(testing::max_error(program.run(std::span(&data, 1))[0], before), 1e-6);
  program.profile(true);
  program.run(std::span(&data, 1));
  bool found = false;
  for (const StepProfile& line : program.profile()) {
    if (line.node != "if/then_branch/then") continue;
    found = true;
    EXPECT_NE(line.kernel, "eval");
  }
  EXPECT_TRUE(found);
  std::string bytes = serialize_onnx(graph), again = serialize_onnx(parse_onnx(bytes));
  std::ranges::sort(bytes);  // the order of constants is free
  std::ranges::sort(again);
  EXPECT_TRUE(bytes == again);
}

}  // namespace
}  // namespace nibble
