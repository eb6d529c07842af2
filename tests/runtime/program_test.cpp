// Programs as a whole: inputs, shapes, layout of memory, observation.
#include <map>

#include "graphs.h"
#include "kernels/isa_table.h"
#include "nibble/error.h"
#include "ops/op.h"

namespace nibble {
namespace {

using test::Builder;
using test::largest_difference;
using test::per_tensor;
using test::random_tensor;

// Node by node on the heap, nothing shared.
std::vector<Tensor> run_plainly(const Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> values(static_cast<size_t>(graph.value_count()));
  for (int32_t i = 0; i < graph.value_count(); ++i)
    values[static_cast<size_t>(i)] = graph.value({i}).data;
  for (size_t i = 0; i < inputs.size(); ++i) {
    values[static_cast<size_t>(graph.inputs[i].index)] = inputs[i];
  }
  ThreadPool pool(1);
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    std::vector<Tensor> in;
    for (ValueId input : node.inputs) in.push_back(values[static_cast<size_t>(input.index)]);
    std::vector<Tensor> out(node.outputs.size());
    EvalContext context(node, graph.opset(), in, out, pool);
    require_op(node, graph.opset()).eval.function(context);
    for (size_t i = 0; i < out.size(); ++i) {
      values[static_cast<size_t>(node.outputs[i].index)] = out[i].clone();
    }
  }
  std::vector<Tensor> results;
  for (ValueId id : graph.outputs) results.push_back(values[static_cast<size_t>(id.index)]);
  return results;
}

// A random graph of operators on [2,12,4] or a reshaped form of it, with many readers per value.
Graph random_graph(uint64_t seed, bool quantized) {
  Builder b(seed);
  const auto type = [&]() -> std::optional<QuantParams> {
    if (!quantized || b.random.below(3) == 0) return std::nullopt;
    return per_tensor(0.05F, 100 + static_cast<int32_t>(b.random.below(50)));
  };
  std::vector<ValueId> flat = {b.input("x", {2, 12, 4}, type()), b.input("y", {2, 12, 4}, type())};
  const auto pick = [&] { return flat[b.random.below(flat.size())]; };
  for (int i = 0; i < 25; ++i) {
    switch (b.random.below(5)) {
      case 0:
        flat.push_back(b.op("Add", {pick(), pick()}, {}, type()));
        break;
      case 1:
        flat.push_back(b.op("Mul", {pick(), pick()}, {}, type()));
        break;
      case 2:
        flat.push_back(b.op("Tanh", {pick()}, {}, type()));
        break;
      case 3:
        flat.push_back(b.op("Relu", {pick()}, {}, type()));
        break;
      default: {
        const ValueId other =
            b.op("Sigmoid", {b.op("Reshape", {pick(), b.integers({8, 12})})}, {}, type());
        flat.push_back(b.op("Reshape", {other, b.integers({2, 12, 4})}));
        break;
      }
    }
  }
  return b.finish({flat.back(), pick(), b.op("Tanh", {pick()})});
}

TEST(memory, values_of_random_graphs_never_overwrite_each_other) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Graph graph = random_graph(seed, false);
    Random random(seed);
    const std::vector<Tensor> inputs = {random_tensor({2, 12, 4}, random),
                                        random_tensor({2, 12, 4}, random)};
    const std::vector<Tensor> expected = run_plainly(graph, inputs);
    for (bool optimize : {false, true}) {
      const std::vector<Tensor> actual = test::run_graph(graph, inputs, {.optimize = optimize});
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_LE(largest_difference(actual[i], expected[i]), 1e-5) << "seed " << seed;
      }
    }
  }
}

TEST(memory, random_integer_graphs_give_the_same_bits_for_every_thread_count_and_isa) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Graph graph = random_graph(seed, true);
    Random random(seed);
    const std::vector<Tensor> inputs = {random_tensor({2, 12, 4}, random),
                                        random_tensor({2, 12, 4}, random)};
    const std::vector<Tensor> expected = [&] {
      const ScopedIsa scope(Isa::reference);
      return test::run_graph(graph, inputs);
    }();
    for (int threads : {1, 2, 3}) {
      const std::vector<Tensor> actual = test::run_graph(graph, inputs, {.threads = threads});
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(largest_difference(actual[i], expected[i]), 0) << "seed " << seed;
      }
    }
  }
}

TEST(program, runs_twice_with_the_same_result) {
  const Graph graph = random_graph(5, true);
  Program program = compile(graph);
  Random random(1);
  const std::vector<Tensor> inputs = {random_tensor({2, 12, 4}, random),
                                      random_tensor({2, 12, 4}, random)};
  const Tensor first = program.run(inputs)[0].clone();
  EXPECT_EQ(largest_difference(program.run(inputs)[0], first), 0);
}

TEST(program, an_unknown_batch_is_planned_for_each_batch_it_meets) {
  Builder b;
  const ValueId x = b.input("x", {-1, 6}, per_tensor(0.02F, 128));
  const ValueId w = b.weight({4, 6}, 0);
  const Graph graph = b.finish(
      {b.op("Gemm", {x, w, b.bias(x, w)}, {{"transB", int64_t{1}}}, per_tensor(0.02F, 128))});
  Program program = compile(graph);
  EXPECT_EQ(program.input_types()[0].shape, (Shape{-1, 6}));
  Random random(2);
  for (int64_t batch : {1, 3, 1, 2, 5, 4, 6, 3}) {
    const Tensor input = random_tensor({batch, 6}, random);
    const Tensor expected =
        test::run_graph(graph, {input}, {.input_shapes = {{"x", {batch, 6}}}})[0];
    EXPECT_EQ(largest_difference(program.run(std::span(&input, 1))[0], expected), 0);
    EXPECT_EQ(program.coverage().integer_nodes, 1);
  }
}

TEST(program, a_wrong_input_is_named_with_what_the_model_takes) {
  Builder b;
  const Graph graph = b.finish({b.op("Relu", {b.input("image", {-1, 3})})});
  Program program = compile(graph);
  const auto message = [&](const std::vector<Tensor>& inputs) -> std::string {
    try {
      program.run(inputs);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      return error.what();
    }
    return "nothing was thrown";
  };
  EXPECT_EQ(message({Tensor(DType::f32, {1, 4})}),
            "input 'image' is f32[1,4], the model takes f32[?,3]");
  EXPECT_EQ(message({Tensor(DType::i64, {1, 3})}),
            "input 'image' is i64[1,3], the model takes f32[?,3]");
  EXPECT_EQ(message({}), "the model takes 1 inputs, got 0");
}

TEST(program, all_missing_operators_are_listed_at_once) {
  Builder b;
  const ValueId x = b.input("x", {2});
  const Graph graph = b.finish({b.op("Frobnicate", {b.op("Levitate", {x})})});
  try {
    compile(graph);
    FAIL() << "it compiled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    const std::string what = error.what();
    EXPECT_NE(what.find("Frobnicate (node 'Frobnicate')"), std::string::npos) << what;
    EXPECT_NE(what.find("Levitate (node 'Levitate')"), std::string::npos) << what;
  }
}

TEST(program, the_observer_sees_each_value_once_and_in_real_numbers) {
  const Graph graph = random_graph(9, true);
  Random random(1);
  const std::vector<Tensor> inputs = {random_tensor({2, 12, 4}, random),
                                      random_tensor({2, 12, 4}, random)};
  for (Arithmetic arithmetic : {Arithmetic::integer, Arithmetic::fake_quantize, Arithmetic::f32}) {
    Program program = compile(graph, {.arithmetic = arithmetic, .optimize = false});
    std::map<int32_t, int> seen;
    program.observe([&](ValueId id, const Tensor& value) {
      ++seen[id.index];
      EXPECT_EQ(value.dtype(), DType::f32);
      EXPECT_EQ(value.elements(), 96);
    });
    program.run(inputs);
    Graph pruned = graph;
    pruned.prune();
    for (NodeId id : pruned.nodes()) EXPECT_EQ(seen[pruned.node(id).outputs[0].index], 1);
    for (ValueId id : graph.inputs) EXPECT_EQ(seen[id.index], 1);
  }
}

TEST(program, arithmetic_f32_does_not_round_activations) {
  Builder b;
  const ValueId x = b.input("x", {64}, per_tensor(0.5F, 128));
  const Graph graph = b.finish({b.op("Tanh", {x}, {}, per_tensor(0.25F, 128))});
  const Tensor input = random_tensor({64}, b.random);
  const Tensor exact = test::run_graph(graph, {input}, {.arithmetic = Arithmetic::f32})[0];
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_NEAR(exact.data<float>()[i], std::tanh(input.data<float>()[i]), 1e-5);
  }
  EXPECT_GT(largest_difference(test::run_graph(graph, {input})[0], exact), 0.01);
}

TEST(program, sixteen_bit_values_are_rounded_in_every_arithmetic_but_f32) {
  Builder b;
  const QuantParams fine = per_tensor(0.001F, 0, DType::i16);
  const ValueId x = b.input("x", {64}, fine);
  const Graph graph = b.finish({b.op("Relu", {x}, {}, fine)});
  const Tensor input = random_tensor({64}, b.random);
  const Tensor expected = dequantize_tensor(quantize_tensor(input, fine), fine);
  const Tensor actual = test::run_graph(graph, {input})[0];
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_EQ(actual.data<float>()[i], std::max(expected.data<float>()[i], 0.0F));
  }
}

TEST(program, a_profile_names_kernels_and_adds_up_time) {
  Program program = compile(random_graph(3, true));
  Random random(1);
  const std::vector<Tensor> inputs = {random_tensor({2, 12, 4}, random),
                                      random_tensor({2, 12, 4}, random)};
  program.profile(true);
  program.run(inputs);
  double seconds = 0;
  for (const StepProfile& line : program.profile()) {
    EXPECT_FALSE(line.kernel.empty());
    seconds += line.seconds;
  }
  EXPECT_GT(seconds, 0);
}

}  // namespace
}  // namespace nibble
