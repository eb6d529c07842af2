// Each integer kernel against fake quantization of the same graph: at most one code apart, and
// really run as integers.
#include "graphs.h"
#include "support/isa.h"

namespace nibble {
namespace {

using test::Builder;
using test::per_tensor;
using test::random_tensor;

constexpr float kScale = 0.03F;  // of outputs

// Runs both ways; the outputs, on a grid of kScale, may differ by `codes` steps.
void expect_agreement(const Graph& graph, const std::vector<Tensor>& inputs, double codes = 1) {
  const Tensor expected = test::run_graph(
      graph, inputs, {.arithmetic = Arithmetic::fake_quantize, .optimize = false})[0];
  Program program = compile(graph, {.optimize = false});
  EXPECT_EQ(program.coverage().integer_nodes, program.coverage().nodes);
  const Tensor actual = program.run(inputs)[0].clone();
  EXPECT_LE(test::largest_difference(actual, expected), codes * kScale * 1.001);
  testing::with_each_isa([&] {
    const Tensor same = test::run_graph(graph, inputs, {.threads = 2, .optimize = false})[0];
    EXPECT_EQ(test::largest_difference(same, actual), 0);
  });
}

struct ConvCase {
  const char* name;
  Shape input;   // [N,spatial...,C]
  Shape weight;  // [O,I/g,spatial...]
  int64_t group = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  int bits = 8;
};

class integer_conv_case : public ::testing::TestWithParam<ConvCase> {};

TEST_P(integer_conv_case, agrees_with_fake_quantization) {
  const ConvCase& c = GetParam();
  Builder b;
  b.channels_last = true;
  const ValueId x = b.input("x", c.input, per_tensor(0.02F, 120));
  const ValueId w = b.weight(c.weight, 0, c.bits);
  std::vector<std::pair<std::string, Attribute>> attributes = {{"group", c.group}};
  if (!c.strides.empty()) attributes.emplace_back("strides", c.strides);
  if (!c.pads.empty()) attributes.emplace_back("pads", c.pads);
  const ValueId y =
      b.op("Conv", {x, w, b.bias(x, w)}, attributes, per_tensor(kScale, -10, DType::i8));
  const Tensor input = random_tensor(c.input, b.random);
  expect_agreement(b.finish({y}), {input});
}

struct TransposedCase {
  Shape input;   // [N,spatial...,C]
  Shape weight;  // [I,O/g,spatial...]
  std::vector<std::pair<std::string, Attribute>> attributes;
  int bits = 8;
};

TEST(integer_ops, transposed_convolutions_agree) {
  using Ints = std::vector<int64_t>;
  const TransposedCase cases[] = {
      {{1, 5, 6, 8}, {8, 5, 3, 3}, {}},
      {{2, 5, 6, 8}, {8, 5, 3, 3}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}}},
      {{1, 4, 5, 8},
       {8, 3, 4, 4},
       {{"strides", Ints{2, 3}}, {"group", int64_t{2}}, {"output_padding", Ints{1, 2}}}},
      {{1, 4, 5, 4}, {4, 3, 2, 2}, {{"strides", Ints{3, 4}}, {"output_padding", Ints{1, 1}}}},
      {{1, 5, 4, 4},
       {4, 6, 3, 2},
       {{"strides", Ints{2, 2}}, {"dilations", Ints{2, 3}}, {"pads", Ints{2, 0, 1, 3}}}},
      {{1, 5, 4, 4},
       {4, 6, 3, 3},
       {{"strides", Ints{3, 2}}, {"auto_pad", std::string("SAME_UPPER")}}},
      {{2, 9, 4}, {4, 6, 5}, {{"strides", Ints{2}}, {"pads", Ints{4, 3}}}},
      {{1, 5, 4, 4}, {4, 6, 3, 3}, {{"strides", Ints{2, 2}}}, 4},
  };
  for (const TransposedCase& c : cases) {
    Builder b;
    b.channels_last = true;
    const ValueId x = b.input("x", c.input, per_tensor(0.02F, 120));
    const ValueId w = b.weight(c.weight, 1, c.bits);
    int64_t group = 1;
    for (const auto& [name, value] : c.attributes) {
      if (name == "group") group = std::get<int64_t>(value);
    }
    const Shape channels{c.weight[1] * group};
    const ValueId bias = b.constant(random_tensor(channels, b.random, 0.3));
    const ValueId y = b.op("ConvTranspose", {x, w, bias}, c.attributes, per_tensor(kScale, 120));
    const Tensor input = random_tensor(c.input, b.random);
    expect_agreement(b.finish({y}), {input});
  }
}

INSTANTIATE_TEST_SUITE_P(
    shapes, integer_conv_case,
    ::testing::Values(ConvCase{"pointwise", {2, 5, 6, 16}, {24, 16, 1, 1}},
                      ConvCase{"window", {1, 9, 7, 8}, {12, 8, 3, 3}, 1, {2, 1}, {1, 1, 1, 1}},
                      ConvCase{"depthwise", {1, 8, 8, 16}, {16, 1, 3, 3}, 16, {}, {1, 1, 1, 1}},
                      ConvCase{"grouped", {1, 6, 6, 12}, {8, 3, 3, 3}, 4, {}, {0, 1, 2, 1}},
                      ConvCase{"one_dimension", {2, 20, 6}, {10, 6, 5}, 1, {2}, {2, 2}},
                      ConvCase{"four_bit", {1, 6, 6, 8}, {9, 8, 3, 3}, 1, {}, {}, 4}),
    [](const auto& c) { return c.param.name; });

TEST(integer_conv, a_fused_clip_narrows_the_codes) {
  Builder b;
  b.channels_last = true;
  const ValueId x = b.input("x", {1, 6, 6, 8}, per_tensor(0.02F, 128));
  const ValueId w = b.weight({8, 8, 3, 3}, 0);
  const ValueId y = b.op("Conv", {x, w}, {}, per_tensor(kScale, 128));
  b.graph.node(*b.graph.producer(y)).clamp = {-0.5F, 0.75F};
  const Graph graph = b.finish({y});
  const Tensor input = random_tensor({1, 6, 6, 8}, b.random);
  expect_agreement(graph, {input});
  const Tensor output = test::run_graph(graph, {input}, {.optimize = false})[0];
  for (float value : output.data<float>()) {
    EXPECT_GE(value, -0.5F - kScale / 2);
    EXPECT_LE(value, 0.75F + kScale / 2);
  }
}

TEST(integer_conv, an_output_without_a_type_is_real) {
  Builder b;
  b.channels_last = true;
  const ValueId x = b.input("x", {1, 6, 6, 8}, per_tensor(0.02F, 128));
  const ValueId w = b.weight({8, 8, 3, 3}, 0);
  const ValueId y = b.op("Conv", {x, w, b.bias(x, w)}, {});
  const Tensor input = random_tensor({1, 6, 6, 8}, b.random);
  expect_agreement(b.finish({y}), {input}, 1e-3);
}

TEST(integer_conv, sums_that_might_not_fit_int32_run_in_f32_and_say_so) {
  Builder b;
  b.channels_last = true;
  const ValueId x = b.input("x", {1, 1, 1, 70000}, per_tensor(0.02F, 0));
  QuantParams quant = per_tensor(0.01F, 0, DType::i8);
  const ValueId w = b.graph.add_constant(
      "w", pack_integers(DType::i8, {1, 70000, 1, 1}, std::vector<int32_t>(70000, 127)), quant);
  const ValueId y = b.op("Conv", {x, w}, {}, per_tensor(1.0F, 0));
  Program program = compile(b.finish({y}), {.optimize = false});
  EXPECT_EQ(program.coverage().integer_nodes, 0);
  bool said = false;
  for (const StepProfile& line : program.profile()) {
    for (const std::string& why : line.refused) {
      said = said || (why.starts_with("conv on u8 codes: ") && why.find("32") != std::string::npos);
    }
  }
  EXPECT_TRUE(said);
}

TEST(integer_gemm, agrees_with_fake_quantization_in_both_layouts) {
  for (int64_t trans_b : {0, 1}) {
    Builder b;
    const ValueId x = b.input("x", {5, 37}, per_tensor(0.02F, 3, DType::i8));
    const ValueId w = b.weight(trans_b != 0 ? Shape{11, 37} : Shape{37, 11}, trans_b != 0 ? 0 : 1);
    const ValueId y =
        b.op("Gemm", {x, w, b.bias(x, w)}, {{"transB", trans_b}}, per_tensor(kScale, 100));
    const Tensor input = random_tensor({5, 37}, b.random);
    expect_agreement(b.finish({y}), {input});
  }
}

TEST(integer_matmul, a_batch_of_matrices_shares_the_weights) {
  Builder b;
  const ValueId x = b.input("x", {3, 4, 20}, per_tensor(0.02F, 128));
  const ValueId y = b.op("MatMul", {x, b.weight({20, 33}, 1)}, {}, per_tensor(kScale, 128));
  const Tensor input = random_tensor({3, 4, 20}, b.random);
  expect_agreement(b.finish({y}), {input});
}

TEST(integer_elementwise, add_sub_and_mul_broadcast) {
  const std::vector<std::pair<Shape, Shape>> shapes = {{{2, 3, 4, 5}, {2, 3, 4, 5}},
                                                       {{2, 3, 4, 5}, {2, 1, 1, 5}},
                                                       {{2, 1, 1, 5}, {2, 3, 4, 5}},
                                                       {{2, 3, 4, 5}, {5}},
                                                       {{4, 1}, {1, 6}}};
  for (const char* op : {"Add", "Sub", "Mul"}) {
    for (const auto& [a_shape, b_shape] : shapes) {
      Builder b;
      const ValueId x = b.input("x", a_shape, per_tensor(0.02F, 110));
      const ValueId y = b.input("y", b_shape, per_tensor(0.015F, -5, DType::i8));
      const ValueId z = b.op(op, {x, y}, {}, per_tensor(kScale, 120));
      const Tensor a = random_tensor(a_shape, b.random);
      const Tensor c = random_tensor(b_shape, b.random);
      expect_agreement(b.finish({z}), {a, c});
    }
  }
}

TEST(integer_elementwise, a_scalar_constant_makes_a_table) {
  for (const char* op : {"Add", "Sub", "Mul"}) {
    Builder b;
    const ValueId x = b.input("x", {3, 50}, per_tensor(0.02F, 110));
    const ValueId y = b.op(op, {b.constant(Tensor::scalar(1.25F)), x}, {}, per_tensor(kScale, 120));
    const Tensor input = random_tensor({3, 50}, b.random);
    expect_agreement(b.finish({y}), {input}, 0);
  }
}

TEST(integer_pool, max_average_and_global_average_agree) {
  const QuantParams type = per_tensor(kScale, 128);
  const std::vector<std::pair<std::string, Attribute>> window = {
      {"kernel_shape", std::vector<int64_t>{3, 3}},
      {"strides", std::vector<int64_t>{2, 2}},
      {"pads", std::vector<int64_t>{1, 1, 1, 1}}};
  for (const std::string op : {"MaxPool", "AveragePool", "GlobalAveragePool"}) {
    Builder b;
    b.channels_last = true;
    const ValueId x = b.input("x", {2, 9, 8, 20}, type);
    const ValueId y =
        op == "GlobalAveragePool" ? b.op(op, {x}, {}, type) : b.op(op, {x}, window, type);
    const Tensor input = random_tensor({2, 9, 8, 20}, b.random);
    expect_agreement(b.finish({y}), {input}, op == "MaxPool" ? 0 : 1);
  }
}

TEST(integer_concat, inputs_of_different_scales_are_brought_to_one) {
  for (int64_t axis : {1, -1}) {
    Builder b;
    const ValueId x = b.input("x", {2, 3, 5}, per_tensor(0.02F, 110));
    const ValueId y = b.input("y", {2, 3, 5}, per_tensor(kScale, 120));
    const ValueId z = b.op("Concat", {x, y, x}, {{"axis", axis}}, per_tensor(kScale, 120));
    const Tensor first = random_tensor({2, 3, 5}, b.random);
    const Tensor second = random_tensor({2, 3, 5}, b.random);
    expect_agreement(b.finish({z}), {first, second});
  }
}

TEST(integer_table, any_function_of_one_input_equals_its_f32_evaluation_exactly) {
  for (const std::string op : {"Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Relu", "Erf"}) {
    Builder b;
    const ValueId x = b.input("x", {7, 33}, per_tensor(0.03F, 128));
    const ValueId y = b.op(op, {x}, {}, per_tensor(kScale, 0));
    const Tensor input = random_tensor({7, 33}, b.random, 2);
    expect_agreement(b.finish({y}), {input}, 0);
  }
}

TEST(integer_same_codes, slice_transpose_and_pad_move_codes) {
  const QuantParams type = per_tensor(kScale, 77);
  Builder b;
  const ValueId x = b.input("x", {2, 6, 8, 5}, type);
  const ValueId sliced = b.op(
      "Slice",
      {x, b.integers({5, 1}), b.integers({-100, 100}), b.integers({1, 2}), b.integers({-2, 3})}, {},
      type);
  const ValueId last =
      b.op("Transpose", {sliced}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}}, type);
  const ValueId odd = b.op("Transpose", {last}, {{"perm", std::vector<int64_t>{3, 0, 2, 1}}}, type);
  const ValueId padded = b.op("Pad", {odd, b.integers({0, 1, 2, 0, 3, 0, 0, 1})}, {}, type);
  const ValueId flat = b.op("Reshape", {padded, b.integers({-1})}, {}, type);
  const Tensor input = random_tensor({2, 6, 8, 5}, b.random);
  expect_agreement(b.finish({flat}), {input}, 0);
}

TEST(integer_ops, a_product_of_two_activations_agrees) {
  const std::pair<Shape, Shape> shapes[] = {{{5, 7}, {7, 9}},
                                            {{2, 3, 5, 8}, {2, 3, 8, 6}},
                                            {{2, 1, 4, 3}, {1, 3, 3, 17}},
                                            {{2, 5, 6}, {6, 4}},
                                            {{6}, {2, 6, 3}}};
  for (const auto& [left, right] : shapes) {
    Builder b;
    const ValueId x = b.input("x", left, per_tensor(0.02F, 120));
    const ValueId z = b.input("z", right, per_tensor(0.015F, -7, DType::i8));
    const ValueId y = b.op("MatMul", {x, z}, {}, per_tensor(kScale, 131));
    const std::vector<Tensor> inputs = {random_tensor(left, b.random),
                                        random_tensor(right, b.random)};
    expect_agreement(b.finish({y}), inputs);
  }
}

}  // namespace
}  // namespace nibble
