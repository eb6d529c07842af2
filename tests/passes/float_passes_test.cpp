// Passes over float graphs.
#include "passes/helpers.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;
using testing::check_pass;
using testing::count_ops;

using Integers = std::vector<int64_t>;

TEST(infer_types, follows_a_reshape_whose_shape_is_computed) {
  Builder b;
  const ValueId x = b.input("x", {2, 3, 4});
  const ValueId shape = b.node("Shape", {x}, "shape");
  const ValueId first = b.node("Gather", {shape, b.constant<int64_t>("zero", {1}, {0})}, "first");
  const ValueId wanted = b.node("Concat", {first, b.constant<int64_t>("rest", {1}, {-1})}, "wanted",
                                attributes({{"axis", int64_t{0}}}));
  const ValueId y = b.node("Reshape", {x, wanted}, "y");
  b.output(y);
  infer_types(b.graph);
  EXPECT_EQ(b.graph.value(y).type.shape, (Shape{2, 12}));
}

TEST(infer_types, new_input_shapes_replace_what_was_declared_inside) {
  Builder b;
  const ValueId x = b.input("x", {-1, 3});
  const ValueId y = b.node("Relu", {x}, "y");
  b.graph.value(y).type = {.dtype = DType::f32, .shape = {1, 3}, .quant = {}};
  b.output(y);
  infer_types(b.graph, {{"x", Shape{5, 3}}});
  EXPECT_EQ(b.graph.value(y).type.shape, (Shape{5, 3}));
}

TEST(infer_types, a_declared_shape_that_is_wrong_is_an_error_naming_the_value) {
  Builder b;
  const ValueId y = b.node("Relu", {b.input("x", {2, 3})}, "y");
  b.graph.value(y).type = {.dtype = DType::f32, .shape = {2, 4}, .quant = {}};
  b.output(y);
  try {
    infer_types(b.graph);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'y'"), std::string::npos) << error.what();
  }
}

TEST(infer_types, a_value_larger_than_memory_is_an_error_before_anything_is_planned) {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 4, 4});
  const ValueId sizes = b.constant<int64_t>("sizes", {4}, {1, 1LL << 35, 8, 8});
  b.output(b.node("Resize", {x, {}, {}, sizes}, "y"));
  try {
    infer_types(b.graph);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("more than the memory of this machine"),
              std::string::npos)
        << error.what();
  }
}

TEST(infer_types, a_shape_for_an_unknown_input_is_an_error) {
  Builder b;
  b.output(b.node("Relu", {b.input("x", {2, 3})}, "y"));
  EXPECT_THROW(infer_types(b.graph, {{"z", Shape{1}}}), Error);
  EXPECT_THROW(infer_types(b.graph, {{"x", Shape{2, 4}}}), Error);
}

TEST(fold_constants, a_shape_subgraph_becomes_a_constant) {
  Builder b;
  const ValueId x = b.input("x", {2, 3, 4});
  const ValueId shape = b.node("Shape", {x}, "shape");
  const ValueId first = b.node("Gather", {shape, b.constant<int64_t>("zero", {1}, {0})}, "first");
  const ValueId wanted = b.node("Concat", {first, b.constant<int64_t>("rest", {1}, {-1})}, "wanted",
                                attributes({{"axis", int64_t{0}}}));
  b.output(b.node("Reshape", {x, wanted}, "y"));
  EXPECT_EQ(check_pass(b.graph, fold_constants), 3);
  EXPECT_EQ(b.graph.nodes().size(), 1U);
}

TEST(fold_constants, a_quantized_weight_stays_quantized) {
  Builder b;
  const ValueId codes = b.constant<int8_t>("codes", {2}, {1, 2});
  const ValueId w = b.node("DequantizeLinear", {codes, b.constant<float>("s", {}, {0.5F})}, "w");
  b.output(b.node("Add", {b.input("x", {2}), w}, "y"));
  EXPECT_EQ(check_pass(b.graph, fold_constants), 0);
}

TEST(fold_constants, a_large_expansion_is_left_to_run_time) {
  Builder b;
  const ValueId zeros =
      b.node("ConstantOfShape", {b.constant<int64_t>("shape", {2}, {1000, 1000})}, "zeros");
  b.output(b.node("Add", {b.input("x", {1000, 1000}), zeros}, "y"));
  EXPECT_EQ(fold_constants(b.graph), 0);
}

TEST(fold_constants, random_numbers_are_not_constants) {
  Builder b;
  b.output(b.node("RandomNormal", {}, "y", attributes({{"shape", Integers{2}}})));
  EXPECT_EQ(fold_constants(b.graph), 0);
}

TEST(eliminate_identities, chains_and_no_ops_disappear) {
  Builder b;
  const ValueId x = b.input("x", {2, 3});
  const ValueId r = b.node("Relu", {x}, "r");
  const ValueId i = b.node("Identity", {r}, "i");
  const ValueId c = b.node("Cast", {i}, "c", attributes({{"to", int64_t{1}}}));
  const ValueId s = b.node("Reshape", {c, b.constant<int64_t>("shape", {2}, {2, 3})}, "s");
  const ValueId t = b.node("Transpose", {s}, "t", attributes({{"perm", Integers{0, 1}}}));
  b.output(b.node("Neg", {t}, "y"));
  EXPECT_EQ(check_pass(b.graph, eliminate_identities), 4);
  EXPECT_EQ(b.graph.nodes().size(), 2U);
}

TEST(eliminate_identities, output_names_survive) {
  Builder b;
  const ValueId x = b.input("x", {2});
  b.output(b.node("Identity", {b.node("Relu", {x}, "r")}, "y"));
  EXPECT_EQ(check_pass(b.graph, eliminate_identities), 1);
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
}

TEST(eliminate_identities, between_an_input_and_an_output_it_stays) {
  Builder b;
  b.output(b.node("Identity", {b.input("x", {2})}, "y"));
  EXPECT_EQ(check_pass(b.graph, eliminate_identities), 0);
}

TEST(eliminate_identities, one_that_quantizes_stays) {
  Builder b;
  const ValueId x = b.input("x", {2});
  const ValueId i = b.node("Identity", {x}, "i");
  b.output(b.node("Relu", {i}, "y"));
  infer_types(b.graph);
  b.graph.value(i).type.quant =
      QuantParams{.storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {0.1F}, .zero_point = {3}};
  EXPECT_EQ(check_pass(b.graph, eliminate_identities), 0);
}

// Conv-like layer -> BatchNormalization.
void add_batch_norm(Builder& b, ValueId data, int64_t channels, const char* result) {
  const std::string name = result;
  b.output(b.node(
      "BatchNormalization",
      {data, b.weights(name + "_scale", {channels}, 0.5F, 2), b.weights(name + "_beta", {channels}),
       b.weights(name + "_mean", {channels}), b.weights(name + "_var", {channels}, 0.1F, 3)},
      name));
}

TEST(fold_batch_norm, into_conv_with_and_without_bias_and_groups) {
  for (const bool bias : {false, true}) {
    for (const int64_t group : {1, 2}) {
      Builder b;
      std::vector<ValueId> inputs = {b.input("x", {1, 4, 5, 5}),
                                     b.weights("w", {6, 4 / group, 3, 3})};
      if (bias) inputs.push_back(b.weights("b", {6}));
      add_batch_norm(b, b.node("Conv", inputs, "c", attributes({{"group", group}})), 6, "y");
      EXPECT_EQ(check_pass(b.graph, fold_batch_norm, 1e-4), 1);
      EXPECT_EQ(b.graph.nodes().size(), 1U);
      EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
    }
  }
}

TEST(fold_batch_norm, into_conv_transpose_with_groups) {
  Builder b;
  const ValueId y =
      b.node("ConvTranspose", {b.input("x", {1, 4, 5, 5}), b.weights("w", {4, 3, 2, 2})}, "c",
             attributes({{"group", int64_t{2}}}));
  add_batch_norm(b, y, 6, "y");
  EXPECT_EQ(check_pass(b.graph, fold_batch_norm, 1e-4), 1);
}

TEST(fold_batch_norm, into_gemm_either_way_round) {
  for (const int64_t trans : {0, 1}) {
    Builder b;
    const ValueId w = trans == 1 ? b.weights("w", {5, 3}) : b.weights("w", {3, 5});
    const ValueId y = b.node("Gemm", {b.input("x", {2, 3}), w, b.weights("b", {1, 5})}, "g",
                             attributes({{"transB", trans}, {"alpha", 0.5F}, {"beta", 2.0F}}));
    add_batch_norm(b, y, 5, "y");
    EXPECT_EQ(check_pass(b.graph, fold_batch_norm, 1e-4), 1);
  }
}

TEST(fold_batch_norm, an_added_bias_and_a_factor_between_go_in_too) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 4, 4}), b.weights("w", {3, 2, 1, 1})}, "c");
  const ValueId a = b.node("Add", {c, b.weights("bias", {3, 1, 1})}, "a");
  const ValueId m = b.node("Mul", {b.weights("factor", {1, 3, 1, 1}), a}, "m");
  add_batch_norm(b, m, 3, "y");
  EXPECT_EQ(check_pass(b.graph, fold_batch_norm, 1e-4), 3);
  EXPECT_EQ(b.graph.nodes().size(), 1U);
}

TEST(fold_batch_norm, weights_that_another_layer_shares_are_copied) {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 4, 4});
  const ValueId w = b.weights("w", {3, 2, 1, 1});
  b.output(b.node("Conv", {x, w}, "other"));
  add_batch_norm(b, b.node("Conv", {x, w}, "c"), 3, "y");
  EXPECT_EQ(check_pass(b.graph, fold_batch_norm, 1e-4), 1);
}

TEST(fold_batch_norm, a_result_that_others_read_is_left_alone) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 4, 4}), b.weights("w", {3, 2, 1, 1})}, "c");
  add_batch_norm(b, c, 3, "y");
  b.output(c);
  EXPECT_EQ(check_pass(b.graph, fold_batch_norm), 0);
}

TEST(fold_batch_norm, a_constant_along_another_axis_is_left_alone) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 4, 4}), b.weights("w", {4, 2, 1, 1})}, "c");
  b.output(b.node("Add", {c, b.weights("columns", {4})}, "y"));
  EXPECT_EQ(check_pass(b.graph, fold_batch_norm), 0);
}

TEST(fuse_activations, relu_and_clip_go_into_the_layer) {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 4, 4});
  const ValueId r = b.node("Relu", {b.node("Conv", {x, b.weights("w", {3, 2, 1, 1})}, "c")}, "r");
  const ValueId d = b.node("Conv", {r, b.weights("v", {3, 3, 1, 1})}, "d");
  const ValueId k = b.node(
      "Clip", {d, b.constant<float>("low", {}, {0}), b.constant<float>("high", {}, {0.5F})}, "k");
  b.output(b.node("Relu", {b.node("Add", {r, k}, "s")}, "y"));
  EXPECT_EQ(check_pass(b.graph, fuse_activations), 3);
  EXPECT_EQ(b.graph.nodes().size(), 3U);
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
}

TEST(fuse_activations, a_quantized_value_between_is_kept) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 4, 4}), b.weights("w", {3, 2, 1, 1})}, "c");
  b.output(b.node("Relu", {c}, "y"));
  infer_types(b.graph);
  b.graph.value(c).type.quant =
      QuantParams{.storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {0.1F}, .zero_point = {9}};
  EXPECT_EQ(check_pass(b.graph, fuse_activations), 0);
}

TEST(fuse_activations, limits_known_only_at_run_time_are_not_fused) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 4, 4}), b.weights("w", {3, 2, 1, 1})}, "c");
  b.output(b.node("Clip", {c, b.input("low", {})}, "y"));
  EXPECT_EQ(check_pass(b.graph, fuse_activations), 0);
}

TEST(channels_last, a_chain_of_spatial_and_elementwise_operators_has_two_borders) {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 6, 5});
  const ValueId c = b.node("Conv", {x, b.weights("w", {3, 2, 3, 3})}, "c",
                           attributes({{"pads", Integers{1, 1, 1, 1}}}));
  const ValueId s = b.node("Add", {b.node("Relu", {c}, "r"), b.weights("k", {3, 1, 1})}, "s");
  const ValueId p = b.node("Mul", {s, b.weights("columns", {5})}, "p");
  b.output(b.node("Conv", {p, b.weights("v", {4, 3, 1, 1})}, "y"));
  EXPECT_EQ(check_pass(b.graph, channels_last), 5);
  EXPECT_EQ(count_ops(b.graph, "Transpose"), 2);
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
}

TEST(channels_last, concat_moves_its_axis) {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 6, 5});
  const ValueId c = b.node("Conv", {x, b.weights("w", {3, 2, 1, 1})}, "c");
  const ValueId d = b.node("Conv", {x, b.weights("v", {4, 2, 1, 1})}, "d");
  const ValueId j = b.node("Concat", {c, d}, "j", attributes({{"axis", int64_t{-3}}}));
  b.output(b.node("Relu", {j}, "y"));
  EXPECT_EQ(check_pass(b.graph, channels_last), 4);
  EXPECT_EQ(count_ops(b.graph, "Transpose"), 2);
}

TEST(channels_last, a_transpose_to_channels_last_vanishes) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 6, 5}), b.weights("w", {3, 2, 1, 1})}, "c");
  const ValueId t = b.node("Transpose", {c}, "t", attributes({{"perm", Integers{0, 2, 3, 1}}}));
  b.output(b.node("Reshape", {t, b.constant<int64_t>("shape", {3}, {1, -1, 3})}, "y"));
  check_pass(b.graph, channels_last);
  EXPECT_EQ(count_ops(b.graph, "Transpose"), 1);
}

TEST(channels_last, a_value_that_is_also_an_output_keeps_its_shape) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 6, 5}), b.weights("w", {3, 2, 1, 1})}, "c");
  b.output(c);
  b.output(b.node("Flatten", {b.node("Relu", {c}, "r")}, "y"));
  check_pass(b.graph, channels_last);
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "c");
}

TEST(channels_last, operands_of_lower_rank_that_are_not_constant_stop_it) {
  Builder b;
  const ValueId c = b.node("Conv", {b.input("x", {1, 2, 6, 5}), b.weights("w", {3, 2, 1, 1})}, "c");
  b.output(b.node("Add", {c, b.input("columns", {5})}, "y"));
  check_pass(b.graph, channels_last);
  // The Add still reads "columns" as it is: what is channels last is turned back before it.
  const Node& add = b.graph.node(*b.graph.producer(b.graph.outputs[0]));
  EXPECT_EQ(add.op, "Add");
  EXPECT_EQ(b.graph.value(add.inputs[1]).name, "columns");
  EXPECT_EQ(b.graph.value(add.inputs[0]).type.shape, (Shape{1, 3, 6, 5}));
}

TEST(pass_table, every_pass_has_a_name_and_a_purpose) {
  for (const PassRow& row : pass_table()) {
    EXPECT_FALSE(row.name.empty());
    EXPECT_FALSE(row.purpose.empty());
    EXPECT_NE(row.run, nullptr);
  }
}

TEST(passes, readers_without_outputs_are_left_alone_or_refused) {
  for (const char* op : {"Relu", "BatchNormalization", "Mul", "Identity", "Transpose"}) {
    for (const PassRow& row : pass_table()) {
      Builder b;
      const ValueId x = b.input("x", {1, 2, 4, 4});
      const ValueId conv = b.node("Conv", {x, b.weights("w", {3, 2, 1, 1})}, "conv");
      const ValueId c = b.weights("c", {3}, 0.5F);
      std::vector<ValueId> inputs = {conv};
      if (std::string_view(op) == "Mul") inputs = {conv, b.weights("m", {1, 3, 1, 1})};
      if (std::string_view(op) == "BatchNormalization") inputs = {conv, c, c, c, c};
      b.graph.add_node({.op = op, .name = "idle", .inputs = inputs, .outputs = {}});
      b.graph.add_node({.op = op, .name = "left out", .inputs = inputs, .outputs = {ValueId{}}});
      b.output(b.node("Sigmoid", {x}, "y"));
      try {
        row.run(b.graph);
      } catch (const Error& error) {  // of passes that infer types, which counts the outputs
        EXPECT_EQ(error.code(), ErrorCode::invalid_model) << row.name << ' ' << op;
        EXPECT_NE(std::string_view(error.what()).find("node 'idle'"), std::string_view::npos);
        EXPECT_NE(std::string_view(error.what()).find("it has 0 outputs"), std::string_view::npos);
      }
      EXPECT_NO_THROW(b.graph.validate()) << row.name << ' ' << op;
    }
  }
}

}  // namespace
}  // namespace nibble
