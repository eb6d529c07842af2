// Programs on the same weights, run at the same time.
#include <atomic>
#include <optional>
#include <thread>

#include "graphs.h"

namespace nibble {
namespace {

using test::Builder;
using test::per_tensor;
using test::random_tensor;

// A convolution on u8 codes or on reals, then a product of matrices, for `batch` images.
Graph network(int64_t batch, bool quantized) {
  Builder b;
  const auto grid = quantized ? std::optional(per_tensor(0.05F, 120)) : std::nullopt;
  const ValueId x = b.input("x", {batch, 8, 9, 9}, grid);
  ValueId y = b.op("Conv", {x, b.weight({16, 8, 3, 3}, 0)}, {}, grid);
  y = b.op("Flatten", {b.op("Relu", {y}, {}, grid)}, {}, grid);
  return b.finish({b.op("MatMul", {y, b.weight({16 * 49, 300}, 1)})});
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.data<float>(), b.data<float>());
}

// Four threads, each with a program of its own, of which three are twins of the first.
void run_beside_each_other(const Graph& graph, const std::vector<Tensor>& inputs, int threads) {
  Program program = compile(graph, {.threads = threads});
  std::vector<Tensor> expected;
  for (const Tensor& input : inputs) expected.push_back(program.run({input})[0].clone());
  std::vector<Program> twins;
  for (int i = 0; i < 3; ++i) twins.push_back(program.twin());
  twins.push_back(std::move(program));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> callers;
  for (Program& twin : twins) {
    callers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        for (size_t i = 0; i < inputs.size(); ++i) {
          if (!same(twin.run({inputs[i]})[0], expected[i])) ++wrong;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(twins, run_beside_each_other_and_give_the_same_numbers) {
  Random random(3);
  const std::vector<Tensor> inputs = {random_tensor({2, 8, 9, 9}, random),
                                      random_tensor({2, 8, 9, 9}, random)};
  for (const bool quantized : {false, true}) {
    for (const int threads : {1, 2}) {
      run_beside_each_other(network(2, quantized), inputs, threads);
    }
  }
}

TEST(twins, share_what_was_compiled_for_shapes_that_one_of_them_met) {
  Random random(4);
  const std::vector<Tensor> inputs = {random_tensor({1, 8, 9, 9}, random),
                                      random_tensor({3, 8, 9, 9}, random)};
  run_beside_each_other(network(Shape::kUnknown, true), inputs, 1);
}

TEST(twins, outlive_the_program_that_they_were_made_of) {
  Random random(5);
  const Tensor input = random_tensor({1, 8, 9, 9}, random);
  std::optional<Program> program = compile(network(1, true));
  const Tensor expected = program->run({input})[0].clone();
  Program twin = program->twin();
  program.reset();
  EXPECT_TRUE(same(twin.run({input})[0], expected));
  EXPECT_TRUE(same(twin.twin().run({input})[0], expected));
  EXPECT_EQ(twin.input_names(), std::vector<std::string>{"x"});
}

TEST(twins, have_bodies_of_their_own) {
  Builder b;
  const ValueId condition = b.graph.add_value("condition", {.dtype = DType::boolean, .shape = {}});
  b.graph.inputs.push_back(condition);
  const ValueId x = b.input("x", {3});
  const auto branch = [&](const char* op) -> Attribute {
    Builder body;
    const ValueId captured = body.graph.add_value("x", b.graph.value(x).type);
    return std::make_shared<const Graph>(body.finish({body.op(op, {captured})}));
  };
  const ValueId y =
      b.op("If", {condition}, {{"then_branch", branch("Abs")}, {"else_branch", branch("Neg")}});
  b.graph.node(*b.graph.producer(y)).captures = {x};
  Program program = compile(b.finish({y}));
  Program twin = program.twin();
  const Tensor input = Tensor::of<float>({3}, {-1, 2, -3});
  const Tensor abs = program.run({Tensor::scalar(true), input})[0];
  const Tensor neg = twin.run({Tensor::scalar(false), input})[0];
  EXPECT_TRUE(same(abs, Tensor::of<float>({3}, {1, 2, 3})));
  EXPECT_TRUE(same(neg, Tensor::of<float>({3}, {1, -2, 3})));
}

}  // namespace
}  // namespace nibble
