// fold_qdq and insert_qdq.
#include "passes/helpers.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;
using testing::count_ops;
using testing::difference;
using testing::run;

constexpr DType kU8 = DType::u8;

QuantParams u8(float scale, int32_t zero_point, int32_t qmax = 255) {
  return {.storage = kU8, .qmin = 0, .qmax = qmax, .scale = {scale}, .zero_point = {zero_point}};
}

// x -> Q -> DQ with its own constants.
ValueId add_pair(Builder& b, ValueId x, const std::string& name, float scale, uint8_t zero) {
  const ValueId s = b.constant<float>(name + "_s", {}, {scale});
  const ValueId z = b.constant<uint8_t>(name + "_z", {}, {zero});
  return b.node("DequantizeLinear", {b.node("QuantizeLinear", {x, s, z}, name + "_q"), s, z}, name);
}

// A fully quantized Gemm as other tools write it: input, weight and bias behind DequantizeLinear.
Builder quantized_gemm() {
  Builder b;
  const ValueId x = add_pair(b, b.input("x", {2, 3}), "x_dq", 0.02F, 100);
  const ValueId w =
      b.node("DequantizeLinear",
             {b.constant<int8_t>("w_codes", {2, 3}, {1, -127, 3, 127, 5, 6}),
              b.constant<float>("w_s", {2}, {0.5F, 0.25F}), b.constant<int8_t>("w_z", {2}, {0, 0})},
             "w", attributes({{"axis", int64_t{0}}}));
  const ValueId bias = b.node("DequantizeLinear",
                              {b.constant<int32_t>("b_codes", {2}, {1000, -2000}),
                               b.constant<float>("b_s", {2}, {0.01F, 0.005F})},
                              "b", attributes({{"axis", int64_t{0}}}));
  const ValueId y = b.node("Gemm", {x, w, bias}, "y", attributes({{"transB", int64_t{1}}}));
  b.output(b.node("Relu", {add_pair(b, y, "y_dq", 1.0F, 128)}, "z"));
  return b;
}

// x -> QuantizeLinear -> `move` -> DequantizeLinear -> Relu; `more` are the inputs of the move.
Builder moved_codes(const std::string& op, const std::vector<ValueId>& more,
                    const Attributes& settings, Builder b = Builder()) {
  const ValueId s = b.constant<float>("s", {}, {0.02F}), z = b.constant<uint8_t>("z", {}, {100});
  std::vector<ValueId> inputs = {b.node("QuantizeLinear", {b.input("x", {2, 3}), s, z}, "q")};
  inputs.insert(inputs.end(), more.begin(), more.end());
  const ValueId moved = b.node(op, inputs, "t", settings);
  b.output(b.node("Relu", {b.node("DequantizeLinear", {moved, s, z}, "r")}, "y"));
  return b;
}

TEST(fold_qdq, codes_on_the_move_become_typed_values_on_either_side) {
  Builder b = moved_codes("Transpose", {}, {});
  const auto before = run(b.graph);
  EXPECT_GT(fold_qdq(b.graph), 0);
  b.graph.validate();
  EXPECT_EQ(count_ops(b.graph, "QuantizeLinear") + count_ops(b.graph, "DequantizeLinear"), 0)
      << to_text(b.graph);
  const Node& transpose = b.graph.node(b.graph.nodes()[0]);
  ASSERT_EQ(transpose.op, "Transpose");
  EXPECT_EQ(b.graph.value(transpose.inputs[0]).type.quant, u8(0.02F, 100));
  EXPECT_EQ(b.graph.value(transpose.outputs[0]).type.quant, u8(0.02F, 100));
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  EXPECT_EQ(fold_qdq(b.graph), 0);
}

// Code 0 is written, which stands for -2.
TEST(fold_qdq, padded_codes_become_padded_reals) {
  Builder b;
  const ValueId pads = b.constant<int64_t>("pads", {4}, {0, 1, 0, 2});
  for (const bool has_value : {false, true}) {
    Builder copy = b;
    const ValueId value = has_value ? copy.constant<uint8_t>("v", {}, {250}) : ValueId{};
    Builder padded = moved_codes("Pad", {pads, value}, {}, copy);
    const auto before = run(padded.graph);
    EXPECT_GT(fold_qdq(padded.graph), 0);
    padded.graph.validate();
    EXPECT_EQ(count_ops(padded.graph, "QuantizeLinear"), 0) << to_text(padded.graph);
    EXPECT_EQ(difference(run(padded.graph), before), 0.0);
    EXPECT_EQ(difference(run(padded.graph, Arithmetic::integer), before), 0.0);
  }
}

TEST(fold_qdq, moved_codes_that_somebody_else_reads_stay) {
  Builder b = moved_codes("Transpose", {}, {});
  b.output(*b.graph.find_value("t"));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 0) << to_text(b.graph);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(fold_qdq, a_quantized_layer_becomes_types) {
  Builder b = quantized_gemm();
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 4);
  b.graph.validate();
  EXPECT_EQ(b.graph.nodes().size(), 2U) << to_text(b.graph);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  const Node gemm = b.graph.node(b.graph.nodes()[0]);
  EXPECT_EQ(b.graph.value(gemm.inputs[0]).type.quant, u8(0.02F, 100));
  const QuantParams& weight = *b.graph.value(gemm.inputs[1]).type.quant;
  EXPECT_EQ(weight.storage, DType::i8);
  EXPECT_EQ(weight.qmin, -127);
  EXPECT_EQ(weight.granularity, Granularity::per_channel);
  EXPECT_EQ(weight.axis, 0);
  EXPECT_EQ(b.graph.value(gemm.inputs[1]).name, "w");
  EXPECT_EQ(b.graph.value(gemm.inputs[2]).type.quant->storage, DType::i32);
  EXPECT_EQ(b.graph.value(gemm.outputs[0]).type.quant, u8(1.0F, 128));
}

TEST(fold_qdq, is_undone_by_insert_qdq) {
  Builder b = quantized_gemm();
  const auto before = run(b.graph);
  fold_qdq(b.graph);
  const std::string folded = to_text(b.graph);
  EXPECT_EQ(insert_qdq(b.graph), 4);
  b.graph.validate();
  EXPECT_EQ(count_ops(b.graph, "QuantizeLinear"), 2);
  EXPECT_EQ(count_ops(b.graph, "DequantizeLinear"), 4);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  EXPECT_EQ(insert_qdq(b.graph), 0);
  fold_qdq(b.graph);
  EXPECT_EQ(to_text(b.graph), folded);
}

TEST(fold_qdq, other_readers_of_the_raw_value_get_it_unrounded) {
  Builder b;
  const ValueId r = b.node("Relu", {b.input("x", {8})}, "r");
  b.output(b.node("Sub", {r, add_pair(b, r, "dq", 0.3F, 0)}, "y"));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 1);
  b.graph.validate();
  EXPECT_EQ(count_ops(b.graph, "Identity"), 1);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  EXPECT_FALSE(b.graph.value(*b.graph.find_value("r")).type.quant);
  insert_qdq(b.graph);
  b.graph.validate();
  EXPECT_EQ(count_ops(b.graph, "Identity"), 0);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(fold_qdq, graph_inputs_and_outputs_keep_their_names) {
  Builder b;
  b.output(add_pair(b, b.input("x", {4}), "y", 0.1F, 7));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 1);
  b.graph.validate();
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
  EXPECT_EQ(b.graph.value(b.graph.inputs[0]).name, "x");
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  insert_qdq(b.graph);
  b.graph.validate();
  EXPECT_EQ(b.graph.value(b.graph.outputs[0]).name, "y");
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(fold_qdq, one_quantize_with_several_dequantize) {
  Builder b;
  const ValueId s = b.constant<float>("s", {}, {0.1F});
  const ValueId z = b.constant<uint8_t>("z", {}, {128});
  const ValueId q = b.node("QuantizeLinear", {b.node("Neg", {b.input("x", {4})}, "n"), s, z}, "q");
  const ValueId one = b.node("DequantizeLinear", {q, s, z}, "one");
  const ValueId two = b.node("DequantizeLinear", {q, s, z}, "two");
  b.output(b.node("Add", {b.node("Relu", {one}, "r"), two}, "y"));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 1);
  EXPECT_EQ(b.graph.nodes().size(), 3U);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(fold_qdq, integer_readers_of_the_codes_stop_it) {
  Builder b;
  const ValueId s = b.constant<float>("s", {}, {0.1F});
  const ValueId z = b.constant<uint8_t>("z", {}, {128});
  const ValueId q = b.node("QuantizeLinear", {b.input("x", {4}), s, z}, "q");
  b.output(b.node("DequantizeLinear", {q, s, z}, "y"));
  b.output(q);
  EXPECT_EQ(fold_qdq(b.graph), 0);
}

TEST(fold_qdq, different_parameters_on_the_two_sides_stop_it) {
  Builder b;
  const ValueId z = b.constant<uint8_t>("z", {}, {128});
  const ValueId q =
      b.node("QuantizeLinear", {b.input("x", {4}), b.constant<float>("s", {}, {0.1F}), z}, "q");
  b.output(b.node("DequantizeLinear", {q, b.constant<float>("t", {}, {0.2F}), z}, "y"));
  EXPECT_EQ(fold_qdq(b.graph), 0);
}

TEST(fold_qdq, scales_may_be_computed_from_constants) {
  Builder b;
  const ValueId s = b.node("Cast", {b.constant<double>("s64", {}, {0.125})}, "s",
                           attributes({{"to", int64_t{1}}}));
  const ValueId z = b.node("Identity", {b.constant<uint8_t>("z0", {}, {3})}, "z");
  const ValueId q = b.node("QuantizeLinear", {b.node("Neg", {b.input("x", {4})}, "n"), s, z}, "q");
  const ValueId c = b.node("Cast", {q}, "c", attributes({{"to", int64_t{2}}}));
  b.output(b.node("Relu", {b.node("DequantizeLinear", {c, s, z}, "d")}, "y"));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 1);
  EXPECT_EQ(b.graph.nodes().size(), 2U);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(fold_qdq, weights_quantized_in_the_graph_fold_too) {
  Builder b;
  const ValueId w = b.weights("w", {3, 4});
  b.output(b.node("MatMul", {b.input("x", {2, 3}), add_pair(b, w, "w_dq", 0.01F, 128)}, "y"));
  const auto before = run(b.graph);
  EXPECT_EQ(fold_qdq(b.graph), 1);
  EXPECT_EQ(b.graph.nodes().size(), 1U);
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
}

TEST(insert_qdq, narrow_activations_are_clipped_and_come_back) {
  for (const int32_t qmax : {15, 3, 63}) {
    Builder b;
    const ValueId r = b.node("Neg", {b.input("x", {16})}, "r");
    b.output(b.node("Relu", {r}, "y"));
    infer_types(b.graph);
    b.graph.value(r).type.quant = u8(0.07F, qmax / 2, qmax);
    const std::string folded = to_text(b.graph);
    const auto before = run(b.graph);
    EXPECT_EQ(insert_qdq(b.graph), 1);
    b.graph.validate();
    EXPECT_EQ(count_ops(b.graph, "Clip"), 1);
    EXPECT_EQ(difference(run(b.graph), before), 0.0);
    EXPECT_EQ(fold_qdq(b.graph), 1);
    b.graph.validate();
    EXPECT_EQ(to_text(b.graph), folded);
  }
}

TEST(insert_qdq, a_copy_in_fewer_bits_comes_back_as_a_copy) {
  for (const bool source_is_typed : {true, false}) {
    Builder b;
    const ValueId r = b.node("Neg", {b.input("x", {16})}, "r");
    const ValueId copy = b.node("Identity", {r}, "copy");
    b.output(b.node("Relu", {copy}, "y"));
    b.output(b.node("Abs", {r}, "z"));
    infer_types(b.graph);
    if (source_is_typed) b.graph.value(r).type.quant = u8(0.01F, 128, 255);
    b.graph.value(copy).type.quant = u8(0.15F, 8, 15);
    const auto before = run(b.graph);
    EXPECT_EQ(insert_qdq(b.graph), source_is_typed ? 2 : 1);
    EXPECT_EQ(count_ops(b.graph, "Clip"), 1);
    EXPECT_EQ(difference(run(b.graph), before), 0.0);
    fold_qdq(b.graph);
    b.graph.validate();
    EXPECT_EQ(count_ops(b.graph, "Clip"), 0);
    EXPECT_EQ(count_ops(b.graph, "Identity"), 1);
    EXPECT_EQ(difference(run(b.graph), before), 0.0);
    int narrow = 0;
    for (int32_t i = 0; i < b.graph.value_count(); ++i) {
      const auto& quant = b.graph.value({i}).type.quant;
      narrow += quant && quant->qmax == 15 ? 1 : 0;
    }
    EXPECT_EQ(narrow, 1);
  }
}

TEST(fold_qdq, an_activation_clip_is_not_taken_for_fewer_bits) {
  Builder b;
  const ValueId c = b.node("Clip",
                           {b.node("Neg", {b.input("x", {16})}, "n"),
                            b.constant<float>("low", {}, {0}), b.constant<float>("high", {}, {6})},
                           "c");
  b.output(b.node("Neg", {add_pair(b, c, "dq", 6.0F / 255, 0)}, "y"));
  EXPECT_EQ(fold_qdq(b.graph), 1);
  EXPECT_EQ(count_ops(b.graph, "Clip"), 1);
}

TEST(insert_qdq, weights_go_into_the_smallest_type_that_holds_them) {
  struct Case {
    DType storage;
    int32_t qmin, qmax;
    DType stored;
  };
  for (const Case& c : {Case{DType::i8, -127, 127, DType::i8}, Case{DType::i8, -31, 31, DType::i8},
                        Case{DType::i8, -7, 7, DType::i4}, Case{DType::i4, -3, 3, DType::i4},
                        Case{DType::i4, -1, 1, DType::i2}, Case{DType::u8, 0, 15, DType::u4}}) {
    Builder b;
    const ValueId x = b.input("x", {2, 2});
    const QuantParams quant{.storage = c.storage,
                            .qmin = c.qmin,
                            .qmax = c.qmax,
                            .scale = {0.5F},
                            .zero_point = {c.qmin < 0 ? 0 : 7}};
    const std::vector<int32_t> codes = {c.qmin, c.qmax, 0, 1};
    const ValueId w = b.graph.add_constant("w", pack_integers(c.storage, {2, 2}, codes), quant);
    b.output(b.node("Gemm", {x, w}, "y"));
    const auto before = run(b.graph);
    EXPECT_EQ(insert_qdq(b.graph), 1);
    b.graph.validate();
    EXPECT_EQ(b.graph.value(*b.graph.find_value("w_quantized")).data.dtype(), c.stored);
    EXPECT_EQ(difference(run(b.graph), before), 0.0);
    EXPECT_EQ(fold_qdq(b.graph), 1);
    const Value& folded = b.graph.value(*b.graph.find_value("w"));
    EXPECT_EQ(folded.type.quant->qmin, c.qmin);
    EXPECT_EQ(folded.type.quant->qmax, c.qmax);
    EXPECT_EQ(unpack_integers(folded.data), codes);
  }
}

// The element type that the 2-bit weight of x -> (Reshape) -> op -> Relu -> y is stored in.
DType stored_type_of_two_bits(const std::string& op, int data_bits, int result_bits,
                              bool reshaped = false) {
  const auto activation = [](int bits) {
    return QuantParams{.storage = DType::u8,
                       .qmin = 0,
                       .qmax = (1 << bits) - 1,
                       .scale = {0.25F},
                       .zero_point = {1}};
  };
  const bool matrix = op == "MatMul" || op == "Gemm";
  const Shape shape = matrix ? Shape{2, 2} : Shape{2, 2, 1, 1};
  Builder b;
  const ValueId x = b.input("x", shape);
  const ValueId dims = b.constant<int64_t>("dims", {2}, {2, 2});
  const ValueId data = reshaped ? b.node("Reshape", {x, dims}, "r") : x;
  const QuantParams quant{
      .storage = DType::i2, .qmin = -2, .qmax = 1, .scale = {0.5F}, .zero_point = {0}};
  const std::vector<int32_t> codes = {-2, 1, 0, 1};
  const ValueId w = b.graph.add_constant("w", pack_integers(DType::i2, shape, codes), quant);
  const ValueId y = b.node("Relu", {b.node(op, {data, w}, "sum")}, "y");
  b.output(b.node("Neg", {y}, "z"));
  if (data_bits > 0) b.graph.value(x).type.quant = activation(data_bits);
  if (result_bits > 0) b.graph.value(y).type.quant = activation(result_bits);
  const auto before = run(b.graph);
  insert_qdq(b.graph);
  b.graph.validate();
  EXPECT_EQ(difference(run(b.graph), before), 0.0);
  const DType stored = b.graph.value(*b.graph.find_value("w_quantized")).data.dtype();
  fold_qdq(b.graph);
  const Value& folded = b.graph.value(*b.graph.find_value("w"));
  EXPECT_EQ(folded.type.quant->bits(), 2);
  EXPECT_EQ(unpack_integers(folded.data), codes);
  return stored;
}

TEST(insert_qdq, two_bit_weights_of_operators_that_would_be_fused_take_four) {
  EXPECT_EQ(stored_type_of_two_bits("Conv", 0, 0), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("Conv", 0, 8), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("Conv", 8, 2), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("Conv", 2, 8), DType::i4);
  EXPECT_EQ(stored_type_of_two_bits("Conv", 8, 0), DType::i4);
  EXPECT_EQ(stored_type_of_two_bits("ConvTranspose", 8, 8), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("Gemm", 0, 8), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("Gemm", 2, 2), DType::i4);
  EXPECT_EQ(stored_type_of_two_bits("Gemm", 8, 0), DType::i4);
  EXPECT_EQ(stored_type_of_two_bits("Gemm", 8, 0, true), DType::i4);  // the data is only moved
  EXPECT_EQ(stored_type_of_two_bits("Gemm", 0, 0, true), DType::i2);
  EXPECT_EQ(stored_type_of_two_bits("MatMul", 0, 0), DType::i4);
  EXPECT_EQ(stored_type_of_two_bits("MatMul", 8, 8), DType::i4);
}

TEST(insert_qdq, blocks_come_back) {
  Builder b;
  const QuantParams quant{.storage = DType::i4,
                          .qmin = -7,
                          .qmax = 7,
                          .scale = {1, 2, 3, 4},
                          .zero_point = {0, 0, 0, 0},
                          .granularity = Granularity::per_block,
                          .axis = 0,
                          .block_size = 2};
  const std::vector<int32_t> codes = {1, 2, 3, -7, 5, 6, 7, 0};
  const ValueId w = b.graph.add_constant("w", pack_integers(DType::i4, {4, 2}, codes), quant);
  b.output(b.node("MatMul", {b.input("x", {1, 4}), w}, "y"));
  insert_qdq(b.graph);
  fold_qdq(b.graph);
  EXPECT_EQ(b.graph.value(*b.graph.find_value("w")).type.quant, quant);
}

TEST(insert_qdq, an_input_that_is_an_output_is_given_back_as_it_came) {
  Builder b;
  const ValueId x = b.input("x", {2, 3});
  b.output(x);
  b.output(b.node("Relu", {x}, "y"));
  b.graph.value(x).type.quant = u8(0.02F, 100);
  EXPECT_EQ(insert_qdq(b.graph), 1);
  b.graph.validate();
  EXPECT_EQ(b.graph.outputs[0], b.graph.inputs[0]);
  const Node& relu = b.graph.node(*b.graph.producer(b.graph.outputs[1]));
  EXPECT_EQ(b.graph.node(*b.graph.producer(relu.inputs[0])).op, "DequantizeLinear");
}

}  // namespace
}  // namespace nibble
