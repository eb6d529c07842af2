// Formulas of transformers that compile makes one node of: GELU, layer normalization, biases,
// attention.
#include <cmath>

#include "helpers.h"
#include "passes/pass.h"
#include "support/isa.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;
using testing::check_pass;
using testing::count_ops;

ValueId number(Builder& b, const std::string& name, float value) {
  return b.constant<float>(name, {}, {value});
}

// 1 + erf(x / sqrt 2), by a division or by a product.
ValueId gate(Builder& b, ValueId x, bool divides) {
  const float root = std::sqrt(2.0F);
  const ValueId scaled = divides ? b.node("Div", {x, number(b, "root", root)}, "scaled")
                                 : b.node("Mul", {number(b, "root", 1 / root), x}, "scaled");
  return b.node("Add", {b.node("Erf", {scaled}, "erf"), number(b, "one", 1)}, "gate");
}

TEST(fuse_gelu, every_order_of_its_factors_becomes_one_node) {
  for (const bool divides : {true, false}) {
    for (const int order : {0, 1, 2}) {
      Builder b;
      const ValueId x = b.input("x", {2, 3, 5});
      const ValueId half = number(b, "half", 0.5F), g = gate(b, x, divides);
      if (order == 0) b.output(b.node("Mul", {b.node("Mul", {x, g}, "p"), half}, "y"));
      if (order == 1) b.output(b.node("Mul", {b.node("Mul", {half, x}, "p"), g}, "y"));
      if (order == 2) b.output(b.node("Mul", {x, b.node("Mul", {g, half}, "p")}, "y"));
      EXPECT_EQ(check_pass(b.graph, fuse_gelu), 1) << order;
      EXPECT_EQ(b.graph.nodes().size(), 1U);
      EXPECT_EQ(b.graph.node(b.graph.nodes()[0]).attributes.text("approximate", ""), "none");
    }
  }
}

TEST(fuse_gelu, the_form_with_a_hyperbolic_tangent_is_known_by_its_polynomial) {
  for (const bool power : {true, false}) {
    Builder b;
    const ValueId x = b.input("x", {4, 6});
    const ValueId cube = power ? b.node("Pow", {x, number(b, "three", 3)}, "cube")
                               : b.node("Mul", {x, b.node("Mul", {x, x}, "square")}, "cube");
    const ValueId sum =
        b.node("Add", {x, b.node("Mul", {cube, number(b, "c", 0.044715F)}, "t")}, "sum");
    const ValueId inner = b.node("Mul", {sum, number(b, "f", 0.7978845608F)}, "inner");
    const ValueId g = b.node("Add", {b.node("Tanh", {inner}, "tanh"), number(b, "one", 1)}, "gate");
    b.output(b.node("Mul", {b.node("Mul", {x, number(b, "half", 0.5F)}, "p"), g}, "y"));
    EXPECT_EQ(check_pass(b.graph, fuse_gelu), 1);
    EXPECT_EQ(b.graph.nodes().size(), 1U);
    EXPECT_EQ(b.graph.node(b.graph.nodes()[0]).attributes.text("approximate", ""), "tanh");
  }
}

TEST(fuse_gelu, other_numbers_and_other_arguments_stay) {
  for (const float factor : {0.5F, 0.4F}) {
    Builder b;
    const ValueId x = b.input("x", {4}), z = b.input("z", {4});
    const ValueId g = gate(b, factor == 0.5F ? z : x, true);
    b.output(b.node("Mul", {b.node("Mul", {x, g}, "p"), number(b, "half", factor)}, "y"));
    EXPECT_EQ(check_pass(b.graph, fuse_gelu), 0);
  }
}

TEST(fuse_gelu, a_step_that_is_rounded_to_a_grid_stays) {
  Builder b;
  const ValueId x = b.input("x", {4}), g = gate(b, x, true);
  b.output(b.node("Mul", {b.node("Mul", {x, g}, "p"), number(b, "half", 0.5F)}, "y"));
  b.graph.value(g).type = {
      .dtype = DType::f32,
      .shape = {4},
      .quant = QuantParams{
          .storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {0.01F}, .zero_point = {0}}};
  EXPECT_EQ(check_pass(b.graph, fuse_gelu), 0);
}

// As exporters take it apart.
ValueId layer_norm(Builder& b, ValueId x, bool squares) {
  const Attributes last = attributes({{"axes", std::vector<int64_t>{-1}}});
  const ValueId centred = b.node("Sub", {x, b.node("ReduceMean", {x}, "mean", last)}, "centred");
  const ValueId square = squares ? b.node("Mul", {centred, centred}, "square")
                                 : b.node("Pow", {centred, number(b, "two", 2)}, "square");
  const ValueId variance = b.node("ReduceMean", {square}, "variance", last);
  const ValueId sum = b.node("Add", {variance, number(b, "epsilon", 1e-5F)}, "sum");
  const ValueId normal = b.node("Div", {centred, b.node("Sqrt", {sum}, "root")}, "normal");
  return b.node("Add",
                {b.node("Mul", {normal, b.weights("gain", {6})}, "scaled"), b.weights("bias", {6})},
                "norm");
}

TEST(fuse_layer_norm, its_parts_become_one_node) {
  for (const bool squares : {true, false}) {
    Builder b;
    b.output(layer_norm(b, b.input("x", {2, 3, 6}), squares));
    EXPECT_EQ(check_pass(b.graph, fuse_layer_norm), 1);
    EXPECT_EQ(b.graph.nodes().size(), 1U);
    EXPECT_EQ(count_ops(b.graph, "LayerNormalization"), 1);
  }
}

TEST(fuse_layer_norm, takes_in_the_sum_before_it_and_gives_it_to_its_other_readers) {
  for (const bool read_again : {false, true}) {
    Builder b;
    const ValueId x = b.input("x", {2, 3, 6}), y = b.input("y", {2, 3, 6});
    const ValueId sum = b.node("Add", {x, y}, "total");
    const ValueId norm =
        b.node("LayerNormalization", {sum, b.weights("gain", {6}), b.weights("bias", {6})}, "norm");
    b.output(read_again ? b.node("Add", {norm, sum}, "again") : norm);
    EXPECT_EQ(check_pass(b.graph, fuse_layer_norm), 1);
    const Node& fused = b.graph.node(b.graph.nodes()[0]);
    EXPECT_EQ(fused.op, "AddLayerNormalization");
    EXPECT_EQ(fused.outputs.size(), read_again ? 2U : 1U);
  }
}

QuantParams grid(float scale, int32_t zero_point) {
  return {
      .storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {scale}, .zero_point = {zero_point}};
}

TEST(fuse_layer_norm, codes_that_are_added_and_codes_that_come_out_are_what_reals_say) {
  Builder b;
  const ValueId x = b.input("x", {2, 3, 6}), y = b.input("y", {2, 3, 6});
  const ValueId sum = b.node("Add", {x, y}, "total");
  b.output(
      b.node("LayerNormalization", {sum, b.weights("gain", {6}), b.weights("bias", {6})}, "norm"));
  infer_types(b.graph);
  b.graph.value(x).type.quant = grid(0.02F, 100);
  b.graph.value(b.graph.outputs[0]).type.quant = grid(0.03F, 120);
  const std::vector<Tensor> expected = testing::run(b.graph);
  std::vector<Tensor> inputs;
  for (int i = 0; i < 2; ++i) {
    Builder source;
    inputs.push_back(source.graph.value(source.weights("x", {2, 3, 6}, -2, 2)).data);
  }
  testing::with_each_isa([&] {
    Program program = compile(b.graph);
    EXPECT_EQ(testing::difference({program.run(inputs)[0].clone()}, expected), 0);
    EXPECT_EQ(program.coverage().nodes, 1);
  });
}

TEST(fuse_layer_norm, a_sum_that_is_broadcast_or_rounded_stays) {
  for (const bool rounded : {false, true}) {
    Builder b;
    const ValueId x = b.input("x", {2, 3, 6}),
                  y = b.input("y", rounded ? Shape{2, 3, 6} : Shape{6});
    const ValueId sum = b.node("Add", {x, y}, "total");
    if (rounded) {
      b.graph.value(sum).type = {
          .dtype = DType::f32,
          .shape = {2, 3, 6},
          .quant = QuantParams{
              .storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {0.02F}, .zero_point = {128}}};
    }
    b.output(b.node("LayerNormalization", {sum, b.weights("gain", {6})}, "norm"));
    EXPECT_EQ(check_pass(b.graph, fuse_layer_norm), 0);
  }
}

TEST(fuse_bias, a_bias_goes_into_the_product_between_views) {
  for (const bool first : {false, true}) {
    Builder b;
    const ValueId x = b.input("x", {2, 3, 4}), w = b.weights("w", {4, 5}),
                  bias = b.weights("b", {5});
    const ValueId product = b.node("MatMul", {x, w}, "product");
    b.output(first ? b.node("Add", {bias, product}, "y") : b.node("Add", {product, bias}, "y"));
    EXPECT_EQ(check_pass(b.graph, fuse_bias), 1);
    EXPECT_EQ(b.graph.nodes().size(), 3U);
    EXPECT_EQ(count_ops(b.graph, "Gemm"), 1);
  }
}

TEST(fuse_bias, products_of_the_same_data_share_its_view) {
  Builder b;
  const ValueId x = b.input("x", {2, 3, 4}), bias = b.weights("b", {5});
  for (const char* name : {"v", "w"}) {
    const ValueId product =
        b.node("MatMul", {x, b.weights(name, {4, 5})}, std::string("product_") + name);
    b.output(b.node("Add", {product, bias}, std::string("sum_") + name));
  }
  EXPECT_EQ(check_pass(b.graph, fuse_bias), 2);
  EXPECT_EQ(count_ops(b.graph, "Reshape"), 3);
}

TEST(fuse_bias, what_is_no_bias_stays) {
  Builder b;
  const ValueId x = b.input("x", {3, 4});
  b.output(b.node("Add",
                  {b.node("MatMul", {x, b.weights("w", {4, 5})}, "p"), b.weights("b", {3, 5})},
                  "matrix"));
  b.output(b.node("Add", {b.node("MatMul", {x, b.weights("v", {4, 5})}, "r"), b.weights("c", {1})},
                  "number"));
  EXPECT_EQ(check_pass(b.graph, fuse_bias), 0);
}

TEST(fuse_bias,
     between_codes_the_bias_becomes_an_integer_of_the_sums_and_both_arithmetics_add_the_same) {
  Builder b;
  const ValueId x = b.input("x", {2, 3, 4});
  const std::vector<int8_t> codes = {90, -3, 7, 100, 4, -60, 20, -127, 9, 33, -8, 51};
  QuantParams weight{
      .storage = DType::i8, .scale = {0.01F, 0.02F, 0.015F}, .zero_point = {0, 0, 0}};
  weight.granularity = Granularity::per_channel;
  weight.axis = 1;
  const ValueId w = b.graph.add_constant("w", Tensor::of<int8_t>({4, 3}, std::span(codes)), weight);
  b.output(b.node("Add", {b.node("MatMul", {x, w}, "product"), b.weights("bias", {3})}, "sum"));
  infer_types(b.graph);
  b.graph.value(x).type.quant = grid(0.02F, 100);
  Graph fused = b.graph;
  EXPECT_EQ(check_pass(fused, fuse_bias, 2e-4), 1);  // half a unit of the sums
  for (const NodeId id : fused.nodes()) {
    if (fused.node(id).op != "Gemm") continue;
    ASSERT_TRUE(fused.value(fused.node(id).inputs[2]).type.quant);
    EXPECT_EQ(fused.value(fused.node(id).inputs[2]).type.quant->storage, DType::i32);
  }
  Builder source;
  const std::vector<Tensor> inputs = {
      source.graph.value(source.weights("x", {2, 3, 4}, -2, 2)).data};
  Program integer = compile(b.graph);
  EXPECT_EQ(integer.coverage().integer_nodes,
            integer.coverage().nodes - 1);  // all but the last view
  Program reals = compile(b.graph, {.arithmetic = Arithmetic::fake_quantize});
  EXPECT_LE(testing::difference({integer.run(inputs)[0].clone()}, {reals.run(inputs)[0].clone()}),
            1e-5);
}

TEST(fuse_bias, a_bias_that_would_leave_sums_no_room_stays) {
  Builder b;
  const ValueId x = b.input("x", {3, 2});
  const std::vector<int8_t> codes = {1, 1, 1, 1};
  const QuantParams weight{.storage = DType::i8, .scale = {1e-12F}, .zero_point = {0}};
  const ValueId w = b.graph.add_constant("w", Tensor::of<int8_t>({2, 2}, std::span(codes)), weight);
  b.output(b.node("Add", {b.node("MatMul", {x, w}, "product"), b.weights("bias", {2})}, "sum"));
  infer_types(b.graph);
  b.graph.value(x).type.quant = grid(0.02F, 100);
  EXPECT_EQ(check_pass(b.graph, fuse_bias), 0);
}

// A projection without weights: [2, 5, heads * 4] seen as heads.
ValueId heads(Builder& b, ValueId x, const std::string& name, std::vector<int64_t> order) {
  const ValueId shape = b.constant<int64_t>("shape_" + name, {4}, {0, -1, 3, 4});
  const ValueId parted = b.node("Reshape", {x, shape}, "parted_" + name);
  return b.node("Transpose", {parted}, name, attributes({{"perm", std::move(order)}}));
}

struct Attention {
  Builder b;
  ValueId q, k, v, p, out;
};

// q, k, v, p and the result on grids; the result as its heads side by side.
Attention attention(bool masked, bool divides, bool turned_twice = false) {
  Attention a;
  Builder& b = a.b;
  const auto projected = [&](const char* name) {
    return b.node("Neg", {b.input(name, {2, 5, 12})}, std::string("n_") + name);
  };
  a.q = heads(b, projected("x"), "q", {0, 2, 1, 3});
  a.k = turned_twice ? b.node("Transpose", {heads(b, projected("y"), "k0", {0, 2, 1, 3})}, "k",
                              attributes({{"perm", std::vector<int64_t>{0, 1, 3, 2}}}))
                     : heads(b, projected("y"), "k", {0, 2, 3, 1});
  a.v = heads(b, projected("z"), "v", {0, 2, 1, 3});
  ValueId scores = b.node("MatMul", {a.q, a.k}, "scores");
  scores = divides ? b.node("Div", {scores, number(b, "root", 2)}, "scaled")
                   : b.node("Mul", {scores, number(b, "root", 0.5F)}, "scaled");
  if (masked) {
    const ValueId mask =
        b.constant<float>("mask", {2, 1, 1, 5}, {0, 0, 0, -3e38F, -3e38F, 0, 0, 0, 0, -3e38F});
    scores = b.node("Add", {scores, mask}, "masked");
  }
  a.p = b.node("Softmax", {scores}, "p", attributes({{"axis", int64_t{-1}}}));
  a.out = b.node("MatMul", {a.p, a.v}, "out");
  const ValueId merged = b.node("Transpose", {a.out}, "merged",
                                attributes({{"perm", std::vector<int64_t>{0, 2, 1, 3}}}));
  b.output(b.node("Reshape", {merged, b.constant<int64_t>("flat", {3}, {0, -1, 12})}, "result"));
  infer_types(b.graph);
  const auto type = [&](ValueId id, float scale, int32_t zero) {
    b.graph.value(id).type.quant = grid(scale, zero);
  };
  type(a.q, 0.02F, 120), type(a.k, 0.017F, 131), type(a.v, 0.016F, 125), type(a.p, 1.0F / 255, 0);
  type(a.out, 0.016F, 125), type(merged, 0.016F, 125), type(b.graph.outputs[0], 0.016F, 125);
  return a;
}

TEST(fuse_attention, products_softmax_and_the_moves_around_them_become_one_node) {
  for (const bool masked : {false, true}) {
    for (const bool divides : {false, true}) {
      Attention a = attention(masked, divides, divides);
      // A score that lies between two codes of p may fall to the other side.
      EXPECT_EQ(check_pass(a.b.graph, fuse_attention, 0.017), 1);
      EXPECT_EQ(a.b.graph.nodes().size(), 4U);  // with the three Negs
      EXPECT_EQ(count_ops(a.b.graph, "HeadAttention"), 1);
    }
  }
}

TEST(fuse_attention, a_program_gives_the_same_codes_on_every_instruction_set_and_thread_count) {
  Attention a = attention(true, true);
  std::vector<Tensor> inputs;
  for (const char* name : {"x", "y", "z"}) {
    Builder source;
    inputs.push_back(source.graph.value(source.weights(name, {2, 5, 12}, -2, 2)).data);
  }
  std::vector<Tensor> expected;
  testing::with_each_isa([&] {
    for (const int threads : {1, 2}) {
      Program program = compile(a.b.graph, {.threads = threads});
      const Tensor got = program.run(inputs)[0].clone();
      if (expected.empty()) expected.push_back(got);
      EXPECT_EQ(testing::difference({got}, expected), 0);
    }
  });
  Program plain = compile(a.b.graph, {.arithmetic = Arithmetic::fake_quantize});
  EXPECT_LE(testing::difference({plain.run(inputs)[0].clone()}, expected), 0.017);
}

TEST(fuse_attention, without_grids_or_with_a_step_on_one_it_stays) {
  for (const int which : {0, 1, 2}) {
    Attention a = attention(false, true);
    if (which == 0) a.b.graph.value(a.v).type.quant.reset();
    if (which == 1) a.b.graph.value(a.p).type.quant.reset();
    if (which == 2) a.b.graph.value(*a.b.graph.find_value("scaled")).type.quant = grid(0.1F, 128);
    EXPECT_EQ(check_pass(a.b.graph, fuse_attention), 0) << which;
  }
}

TEST(fuse_attention, probabilities_that_others_read_stay) {
  Attention a = attention(false, true);
  a.b.output(a.p);
  EXPECT_EQ(check_pass(a.b.graph, fuse_attention), 0);
}

}  // namespace
}  // namespace nibble
