// Values whose shapes only the data decides, and bodies of If and Loop.
#include <cmath>

#include "graphs.h"

namespace nibble {
namespace {

using test::Builder;
using test::random_tensor;

// A body that reads `captured` of the graph around it.
struct Body {
  Builder builder;
  ValueId captured;
  explicit Body(const Value& outer) { captured = builder.graph.add_value(outer.name, outer.type); }
};

Attribute as_attribute(Graph graph) { return std::make_shared<const Graph>(std::move(graph)); }

ValueId add_capturing(Builder& b, const std::string& op, std::vector<ValueId> inputs,
                      std::vector<std::pair<std::string, Attribute>> bodies,
                      std::vector<ValueId> captures) {
  const ValueId out = b.op(op, std::move(inputs), std::move(bodies));
  b.graph.node(*b.graph.producer(out)).captures = std::move(captures);
  return out;
}

TEST(dynamic, shapes_that_depend_on_data_run_beside_planned_ones) {
  Builder b;
  const ValueId x = b.input("x", {4, 5});
  const ValueId planned = b.op("Tanh", {x});
  const ValueId indices = b.op("NonZero", {b.op("Relu", {x})});
  b.graph.value(indices).type.dtype = DType::i64;
  const ValueId counted = b.op("Shape", {indices});
  b.graph.value(counted).type.dtype = DType::i64;
  Program program = compile(b.finish({planned, indices, counted}));
  Random random(3);
  for (int round = 0; round < 5; ++round) {
    const Tensor input = random_tensor({4, 5}, random);
    int64_t positive = 0;
    for (float value : input.data<float>()) positive += value > 0 ? 1 : 0;
    const auto results = program.run(std::span(&input, 1));
    EXPECT_EQ(results[1].shape(), (Shape{2, positive}));
    EXPECT_EQ(results[2].data<int64_t>()[1], positive);
    EXPECT_NEAR(results[0].data<float>()[7], std::tanh(input.data<float>()[7]), 1e-5);
  }
}

TEST(dynamic, a_branch_reads_values_and_constants_of_the_graph_around_it) {
  Builder b;
  const ValueId condition = b.graph.add_value("condition", {.dtype = DType::boolean, .shape = {}});
  b.graph.inputs.push_back(condition);
  const ValueId x = b.op("Tanh", {b.input("x", {3})});
  b.graph.value(x).type = {.dtype = DType::f32, .shape = {3}};
  const ValueId two = b.constant(Tensor::scalar(2.0F));
  Body yes(b.graph.value(x));
  const ValueId inner_two =
      yes.builder.graph.add_value(b.graph.value(two).name, {.dtype = DType::f32, .shape = {}});
  const ValueId doubled = yes.builder.op("Mul", {yes.captured, inner_two});
  Body no(b.graph.value(x));
  const ValueId negated = no.builder.op("Neg", {no.captured});
  const ValueId y = add_capturing(b, "If", {condition},
                                  {{"then_branch", as_attribute(yes.builder.finish({doubled}))},
                                   {"else_branch", as_attribute(no.builder.finish({negated}))}},
                                  {x, two});
  Program program = compile(b.finish({y}));
  Random random(5);
  for (bool choice : {true, false, true, true, false}) {
    const Tensor input = random_tensor({3}, random);
    const std::vector<Tensor> inputs = {Tensor::scalar(choice), input};
    const Tensor result = program.run(inputs)[0];
    for (size_t i = 0; i < 3; ++i) {
      const float t = std::tanh(input.data<float>()[i]);
      EXPECT_NEAR(result.data<float>()[i], choice ? 2 * t : -t, 1e-5);
    }
  }
}

// state = Concat(state, captured) in each of `trips` rounds: another type each time.
TEST(dynamic, a_loop_may_grow_its_state) {
  Builder b;
  const ValueId x = b.input("x", {2});
  Builder body;
  const ValueId iteration = body.graph.add_value("i", {.dtype = DType::i64, .shape = {}});
  const ValueId keep = body.graph.add_value("keep", {.dtype = DType::boolean, .shape = {}});
  const ValueId state = body.graph.add_value("state", {.dtype = DType::f32, .shape = {-1}});
  const ValueId captured = body.graph.add_value("x", {.dtype = DType::f32, .shape = {2}});
  body.graph.inputs = {iteration, keep, state};
  const ValueId kept = body.op("Identity", {keep});
  body.graph.value(kept).type.dtype = DType::boolean;
  const ValueId grown = body.op("Concat", {state, captured}, {{"axis", int64_t{0}}});
  const ValueId trips = b.constant(Tensor::scalar(int64_t{12}));
  const ValueId y = add_capturing(b, "Loop", {trips, ValueId{}, x},
                                  {{"body", as_attribute(body.finish({kept, grown}))}}, {x});
  Program program = compile(b.finish({y}));
  const Tensor input = Tensor::of<float>({2}, {3, 4});
  for (int round = 0; round < 2; ++round) {
    const Tensor result = program.run(std::span(&input, 1))[0];
    ASSERT_EQ(result.shape(), (Shape{26}));
    for (size_t i = 0; i < 26; ++i) EXPECT_EQ(result.data<float>()[i], i % 2 == 0 ? 3 : 4);
  }
}

}  // namespace
}  // namespace nibble
