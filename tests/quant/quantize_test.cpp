#include "nibble/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "output_error.h"
#include "ranges/observer.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::error_of;
using testing::NetworkBuilder;
using testing::outputs;
using testing::Synthetic;

const Value& value_named(const Graph& graph, const std::string& name) {
  const auto id = graph.find_value(name);
  if (!id) throw std::out_of_range("no value " + name);
  return graph.value(*id);
}

bool is_quantized(const Graph& graph, const std::string& name) {
  return value_named(graph, name).type.quant.has_value();
}

Synthetic images(int64_t count = 64) { return {count, {3, 6, 6}}; }

RangeReport ranges_of(const Graph& graph) { return analyze(graph, images()); }

Graph quantized(const Graph& graph, LayerBits bits, const QuantizeOptions& options = {}) {
  return quantize(graph, ranges_of(graph), {.fallback = bits, .layers = {}}, options);
}

double output_sqnr(const Graph& reference, const Graph& graph) {
  return testing::output_sqnr(reference, graph, images(16));
}

// ---- which values get which types ----

TEST(quantize_types, follow_the_conventions) {
  EXPECT_EQ(to_text(quantized(testing::three_convs(), {8, 8})),
            "input %x:f32[?,3,6,6] as u8\n"
            "%conv1:f32[?,8,6,6] = Conv(%x, %conv1_w, %conv1_b) {pads=[1,1,1,1]}\n"
            "%relu1:f32[?,8,6,6] as u8 = Relu(%conv1)\n"
            "%conv2:f32[?,8,6,6] = Conv(%relu1, %conv2_w, %conv2_b) {pads=[1,1,1,1]}\n"
            "%relu2:f32[?,8,6,6] as u8 = Relu(%conv2)\n"
            "%conv3:f32[?,4,6,6] = Conv(%relu2, %conv3_w, %conv3_b) {pads=[0,0,0,0]}\n"
            "output %conv3\n");
}

TEST(quantize_types, residual_additions_are_integers) {
  const Graph graph = quantized(testing::residual(), {8, 8});
  EXPECT_TRUE(is_quantized(graph, "relu1"));
  EXPECT_TRUE(is_quantized(graph, "conv2"));
  EXPECT_FALSE(is_quantized(graph, "add"));  // fused into relu2
  EXPECT_TRUE(is_quantized(graph, "relu2"));
  EXPECT_FALSE(is_quantized(graph, "conv3"));
}

TEST(quantize_types, bias_has_the_scale_of_the_accumulator) {
  const Graph graph = quantized(testing::three_convs(), {8, 8});
  const QuantParams& data = *value_named(graph, "relu1").type.quant;
  const QuantParams& weight = *value_named(graph, "conv2_w").type.quant;
  const QuantParams& bias = *value_named(graph, "conv2_b").type.quant;
  EXPECT_EQ(weight.storage, DType::i8);
  EXPECT_EQ(weight.granularity, Granularity::per_channel);
  EXPECT_EQ(weight.axis, 0);
  EXPECT_EQ(bias.storage, DType::i32);
  ASSERT_EQ(bias.scale.size(), weight.scale.size());
  for (size_t c = 0; c < bias.scale.size(); ++c) {
    EXPECT_EQ(bias.scale[c], data.scale[0] * weight.scale[c]);
    EXPECT_EQ(bias.zero_point[c], 0);
  }
}

TEST(quantize_types, after_relu_zero_is_the_first_code) {
  const Graph graph = quantized(testing::three_convs(), {8, 8});
  EXPECT_EQ(value_named(graph, "relu1").type.quant->zero_point[0], 0);
  EXPECT_GT(value_named(graph, "x").type.quant->zero_point[0], 0);
}

TEST(quantize_types, weights_have_their_bits) {
  const std::vector<std::pair<int, DType>> storages = {
      {8, DType::i8}, {6, DType::i8}, {4, DType::i4}, {3, DType::i4}, {2, DType::i2}};
  for (const auto& [bits, storage] : storages) {
    const Graph graph = quantized(testing::three_convs(), {bits, 8});
    const Value& middle = value_named(graph, "conv2_w");
    EXPECT_EQ(middle.type.quant->storage, storage);
    EXPECT_EQ(middle.type.quant->bits(), bits);
    EXPECT_EQ(middle.data.dtype(), storage);
    const std::vector<int32_t> codes = unpack_integers(middle.data);
    EXPECT_GE(*std::ranges::min_element(codes), middle.type.quant->qmin);
    EXPECT_LE(*std::ranges::max_element(codes), middle.type.quant->qmax);
    EXPECT_EQ(value_named(graph, "conv1_w").type.quant->bits(), 8);  // first
    EXPECT_EQ(value_named(graph, "conv3_w").type.quant->bits(), 8);  // last
    const Graph all = quantized(testing::three_convs(), {bits, 8}, {.first_and_last_8bit = false});
    EXPECT_EQ(value_named(all, "conv1_w").type.quant->bits(), bits);
  }
}

TEST(quantize_types, narrow_activations_use_few_codes_of_a_byte) {
  const Graph graph = quantized(testing::three_convs(), {4, 4});
  const QuantParams& middle = *value_named(graph, "relu1").type.quant;
  EXPECT_EQ(middle.storage, DType::u8);
  EXPECT_EQ(middle.qmax, 15);
  EXPECT_EQ(value_named(graph, "relu2").type.quant->qmax, 255);  // the last layer's data
  EXPECT_EQ(value_named(graph, "x").type.quant->qmax, 255);
}

TEST(quantize_types, sixteen_bits_keep_a_real_bias) {
  const Graph graph = quantized(testing::three_convs(), {16, 16});
  EXPECT_EQ(value_named(graph, "relu1").type.quant->storage, DType::u16);
  EXPECT_EQ(value_named(graph, "conv2_w").type.quant->storage, DType::i16);
  EXPECT_FALSE(is_quantized(graph, "conv2_b"));
}

TEST(quantize_types, weight_only_leaves_activations_alone) {
  const Graph graph = quantized(testing::three_convs(64), {4, 0}, {.weight_block_size = 32});
  for (const char* name : {"x", "relu1", "relu2", "conv2_b"}) {
    EXPECT_FALSE(is_quantized(graph, name)) << name;
  }
  const QuantParams& blocks = *value_named(graph, "conv2_w").type.quant;
  EXPECT_EQ(blocks.granularity, Granularity::per_block);
  EXPECT_EQ(blocks.axis, 1);
  EXPECT_EQ(blocks.scale.size(), 64U * 2 * 9);
  EXPECT_EQ(value_named(graph, "conv1_w").type.quant->granularity, Granularity::per_channel);
}

TEST(quantize_types, an_output_that_is_read_is_not_quantized_but_its_copy_is) {
  Graph graph = testing::three_convs();
  graph.outputs.push_back(*graph.find_value("relu1"));
  const Graph result = quantized(graph, {8, 8});
  EXPECT_FALSE(is_quantized(result, "relu1"));
  EXPECT_TRUE(is_quantized(result, "relu1_copy"));
  EXPECT_EQ(outputs(result, images(2)).size(), 2U * 4 * 36);
  const Graph weight_only = quantized(graph, {8, 0});
  EXPECT_EQ(weight_only.nodes().size(), graph.nodes().size());
}

TEST(quantize_types, float_tails_and_float_branches_stay_in_float) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId conv = net.conv("conv1", net.last, 3, 4);
  const ValueId sigmoid = net.add({.op = "Sigmoid", .name = "gate", .inputs = {conv}});
  net.add({.op = "Mul", .name = "product", .inputs = {conv, sigmoid}});
  const Graph graph = quantized(net.finish(), {8, 8});
  for (const char* name : {"conv1", "gate", "product"}) EXPECT_FALSE(is_quantized(graph, name));
  net.conv("conv2", net.last, 4, 4);
  const Graph deeper = quantized(net.finish(), {8, 8});
  for (const char* name : {"conv1", "gate", "product"}) EXPECT_TRUE(is_quantized(deeper, name));
}

TEST(quantize_types, what_only_concat_reads_has_the_scale_of_the_result) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId a = net.relu("relu_a", net.conv("conv_a", net.last, 3, 4));
  const ValueId b = net.relu("relu_b", net.conv("conv_b", a, 4, 4));
  const ValueId c = net.relu("relu_c", net.conv("conv_c", a, 4, 4, 1));
  Node concat{.op = "Concat", .name = "both", .inputs = {b, c}};
  concat.attributes.set("axis", int64_t{1});
  net.add(std::move(concat));
  net.conv("conv_d", net.last, 8, 4);
  const Graph graph = quantized(net.finish(), {8, 8});
  const auto quant = [&](const char* name) { return value_named(graph, name).type.quant; };
  ASSERT_TRUE(quant("both"));
  EXPECT_EQ(quant("relu_b"), quant("both"));
  EXPECT_EQ(quant("relu_c"), quant("both"));
  EXPECT_NE(quant("relu_a"), quant("both"));
}

TEST(quantize_types, a_single_number_as_operand_is_exact) {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId relu = net.relu("relu1", net.conv("conv1", net.last, 3, 4));
  const ValueId factor = net.constant("factor", Tensor::scalar(-0.37F));
  net.add({.op = "Mul", .name = "product", .inputs = {relu, factor}});
  net.conv("conv2", net.last, 4, 4);
  const Graph graph = quantized(net.finish(), {8, 8});
  const Value& scalar = value_named(graph, "factor");
  ASSERT_TRUE(scalar.type.quant);
  EXPECT_FLOAT_EQ(dequantize_tensor(scalar.data, *scalar.type.quant).data<float>()[0], -0.37F);
}

// ---- numbers ----

TEST(quantize, error_falls_with_every_bit) {
  const Graph graph = testing::residual();
  double last = 0;
  for (const int bits : {2, 3, 4, 6, 8}) {
    const double sqnr = output_sqnr(graph, quantized(graph, {bits, 8}));
    EXPECT_GT(sqnr, last) << bits;
    last = sqnr;
  }
  EXPECT_GT(last, 30);
  EXPECT_GT(output_sqnr(graph, quantized(graph, {16, 16})), 70);
}

TEST(quantize, blocks_are_better_than_channels) {
  const Graph graph = testing::perceptron(12, 64);
  const Tensor real = value_named(graph, "fc2_w").data;
  const auto error = [&](int64_t block) {
    const Graph result =
        quantize(graph, analyze(graph, Synthetic(64, {12})), {.fallback = {4, 0}, .layers = {}},
                 {.weight_block_size = block, .first_and_last_8bit = false});
    const Value& weight = value_named(result, "fc2_w");
    return squared_error(real, weight.data, *weight.type.quant);
  };
  EXPECT_LT(error(32), error(0));
  EXPECT_LT(error(8), 0.7 * error(0));
}

TEST(quantize, blocks_are_refused_where_every_layer_runs_as_integers) {
  const Graph graph = testing::perceptron(12, 64);
  const RangeReport ranges = analyze(graph, Synthetic(16, {12}));
  const QuantizeOptions blocks{.weight_block_size = 8};
  const auto all = [&] { quantize(graph, ranges, {.fallback = {4, 8}, .layers = {}}, blocks); };
  EXPECT_NE(error_of(all).find("blocks of 8"), std::string::npos) << error_of(all);
  QuantizeReport report;
  const BitPlan mixed{.fallback = {4, 8}, .layers = {{"fc2", {4, 0}}}};
  const Graph result = quantize(graph, ranges, mixed, blocks, &report);
  EXPECT_EQ(value_named(result, "fc2_w").type.quant->granularity, Granularity::per_block);
  EXPECT_EQ(value_named(result, "fc1_w").type.quant->granularity, Granularity::per_channel);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_EQ(report.notes[0].substr(0, 11), "1 of 2 laye");
}

TEST(quantize, bias_correction_removes_the_mean_error) {
  const Graph graph = testing::perceptron();
  const Synthetic rows(256, {12});
  const RangeReport ranges = analyze(graph, rows);
  const auto mean_error = [&](bool correct) {
    const Graph result = quantize(graph, ranges, {.fallback = {2, 0}, .layers = {}},
                                  {.first_and_last_8bit = false, .bias_correction = correct});
    // fc1 alone: what its rounding shifts.
    Graph first = graph, second = result;
    first.outputs = {*first.find_value("fc1")};
    second.outputs = {*second.find_value("fc1")};
    const std::vector<float> a = outputs(first, rows), b = outputs(second, rows);
    std::vector<double> shift(16, 0);
    for (size_t i = 0; i < a.size(); ++i) shift[i % 16] += static_cast<double>(b[i]) - a[i];
    double worst = 0;
    for (const double s : shift) worst = std::max(worst, std::abs(s) / 256);
    return worst;
  };
  EXPECT_LT(mean_error(true), 1e-4);
  EXPECT_GT(mean_error(false), 1e-2);
}

TEST(quantize, a_channel_without_weights_keeps_its_bias) {
  Graph graph = testing::three_convs();
  const std::span<float> weight = graph.value(*graph.find_value("conv2_w")).data.data<float>();
  std::fill_n(weight.begin(), 8 * 9, 0.0F);
  const std::span<float> bias = graph.value(*graph.find_value("conv2_b")).data.data<float>();
  bias[0] = 0.123456F;
  const Graph result = quantized(graph, {8, 8});
  const Value& codes = value_named(result, "conv2_b");
  EXPECT_NEAR(dequantize_tensor(codes.data, *codes.type.quant).data<float>()[0], 0.123456F, 1e-7);
}

TEST(quantize, a_tensor_that_is_all_zero_stays_zero) {
  Graph graph = testing::three_convs();
  for (const char* name : {"conv2_w", "conv2_b"}) {
    std::ranges::fill(graph.value(*graph.find_value(name)).data.data<float>(), 0.0F);
  }
  const Graph result = quantized(graph, {8, 8});
  const Value& weight = value_named(result, "conv2_w");
  for (const float scale : weight.type.quant->scale) EXPECT_EQ(scale, 1.0F);
  // What is left is conv3's bias.
  EXPECT_EQ(value_named(result, "relu2").type.quant->zero_point[0], 0);
  EXPECT_GT(output_sqnr(graph, result), 100);
}

// x W1 + b1, Relu, W2 + b2, with data, weights and biases of such sizes.
double sqnr_of_size(double data, double second_weight, double bias, QuantizeOptions options = {}) {
  Graph graph = testing::perceptron();
  const auto scale = [&](const char* name, double by) {
    for (float& x : graph.value(*graph.find_value(name)).data.data<float>()) {
      x = static_cast<float>(x * by);
    }
  };
  scale("fc1_b", data);
  scale("fc2_w", second_weight);
  scale("fc2_b", bias);
  const testing::Scaled rows({64, {12}}, data);
  const Graph result =
      quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}}, options);
  return testing::output_sqnr(graph, result, rows);
}

TEST(quantize, tiny_and_huge_values_are_as_exact_as_others) {
  for (const std::string target : {"onnxruntime", "tensorrt"}) {
    for (const std::string observer : {"min-max", "mse", "percentile"}) {
      const QuantizeOptions options{
          .weight_observer = observer, .activation_observer = observer, .target = target};
      const double usual = sqnr_of_size(1, 1, 1, options);
      EXPECT_GT(usual, 30);
      for (const double size : {1e-15, 1e-17, 1e-18, 1e-22, 1e18, 1e30}) {
        EXPECT_GT(sqnr_of_size(size, 1, size, options), usual - 3) << observer << " " << size;
      }
      EXPECT_GT(sqnr_of_size(1e18, 1e-18, 1, options), usual - 3) << observer;
      EXPECT_GT(sqnr_of_size(1e-18, 1e18, 1, options), usual - 3) << observer;
    }
  }
}

// Scales whose product is no normal float: the result may be coarse, not wrong.
TEST(quantize, products_at_the_end_of_the_floats_stay_finite) {
  Graph graph = testing::perceptron();
  for (float& w : graph.value(*graph.find_value("fc2_w")).data.data<float>()) w *= 1e-30F;
  for (float& b : graph.value(*graph.find_value("fc2_b")).data.data<float>()) b = 0;
  for (float& b : graph.value(*graph.find_value("fc1_b")).data.data<float>()) b *= 1e-12F;
  const testing::Scaled rows({64, {12}}, 1e-12);
  const Graph result = quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}});
  for (const float y : outputs(result, rows)) EXPECT_LT(std::abs(y), 1e-36F);
  for (const float scale : value_named(result, "fc2_b").type.quant->scale) {
    EXPECT_GE(scale, std::numeric_limits<float>::min());
  }
}

TEST(quantize, a_dead_input_keeps_the_biases_behind_it) {
  for (const double bias : {1e3, 1.0, 1e-3, 1e-9}) {
    Graph graph = testing::perceptron();
    for (float& b : graph.value(*graph.find_value("fc1_b")).data.data<float>()) b = -100;
    for (float& b : graph.value(*graph.find_value("fc2_b")).data.data<float>()) {
      b = static_cast<float>(b * bias);
    }
    const Synthetic rows(64, {12});
    const Graph result = quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}});
    EXPECT_GT(testing::output_sqnr(graph, result, rows), 80) << bias;
  }
}

TEST(quantize, a_huge_bias_widens_the_weight_scale) {
  Graph graph = testing::three_convs();
  graph.value(*graph.find_value("conv2_b")).data.data<float>()[3] = 1e7F;
  const std::span<float> weight = graph.value(*graph.find_value("conv2_w")).data.data<float>();
  for (size_t i = 3 * 72; i < 4 * 72; ++i) weight[i] *= 1e-4F;
  const Graph result = quantized(graph, {8, 8});
  const Value& bias = value_named(result, "conv2_b");
  EXPECT_NEAR(dequantize_tensor(bias.data, *bias.type.quant).data<float>()[3], 1e7F, 1e3);
}

TEST(quantize, accumulators_fit_int32_for_any_data) {
  constexpr int64_t kInputs = 200000;  // 127 * 255 * 200,000 exceeds int32
  NetworkBuilder net({-1, kInputs});
  Tensor weight = net.normal({kInputs, 2}, 0.01);
  for (int64_t i = 0; i < kInputs; ++i) weight.data<float>()[static_cast<size_t>(2 * i)] = 0.5F;
  const ValueId w = net.constant("w", weight);
  const ValueId b = net.constant("b", Tensor::of<float>({2}, {1.0F, -1.0F}));
  net.add({.op = "Gemm", .name = "fc", .inputs = {net.last, w, b}});
  const Graph graph = net.finish();
  const Graph result =
      quantize(graph, analyze(graph, Synthetic(2, {kInputs})), {.fallback = {8, 8}, .layers = {}});
  const std::vector<int32_t> codes = unpack_integers(value_named(result, "w").data);
  const std::vector<int32_t> bias = unpack_integers(value_named(result, "b").data);
  const QuantParams& data = *value_named(result, "x").type.quant;
  const int64_t reach = std::max(data.zero_point[0], 255 - data.zero_point[0]);
  for (size_t c = 0; c < 2; ++c) {
    int64_t sum = std::abs(int64_t{bias[c]});
    for (size_t i = 0; i < static_cast<size_t>(kInputs); ++i) {
      sum += std::abs(int64_t{codes[2 * i + c]}) * reach;
    }
    EXPECT_LE(sum, std::numeric_limits<int32_t>::max());
    EXPECT_GT(sum, std::numeric_limits<int32_t>::max() / 8);  // not wasteful
  }
}

// ---- what is refused, and what is left out ----

TEST(quantize, refuses_nan_weights_naming_the_node) {
  Graph graph = testing::three_convs();
  const RangeReport ranges = ranges_of(graph);
  graph.value(*graph.find_value("conv2_w")).data.data<float>()[5] = std::nanf("");
  const std::string message = error_of([&] {
    quantize(graph, ranges, {.fallback = {8, 8}, .layers = {}});
  });
  EXPECT_NE(message.find("node 'conv2' (Conv)"), std::string::npos) << message;
  EXPECT_NE(message.find("element 5 of 'conv2_w' is NaN"), std::string::npos) << message;
}

TEST(quantize, refuses_ranges_of_another_model) {
  const Graph other = testing::perceptron();
  const RangeReport ranges = analyze(other, Synthetic(4, {12}));
  EXPECT_NE(error_of([&] {
              quantize(testing::residual(), ranges, {.fallback = {8, 8}, .layers = {}});
            }).find("was made from another model"),
            std::string::npos);
}

TEST(quantize, refuses_names_and_bits_that_make_no_sense) {
  const Graph graph = testing::three_convs();
  const RangeReport ranges = ranges_of(graph);
  EXPECT_NE(error_of([&] {
              quantize(graph, ranges, {.layers = {{"conv9", {4, 8}}}});
            }).find("'conv9', which is not a node"),
            std::string::npos);
  EXPECT_NE(error_of([&] { quantize(graph, ranges, {}, {.skip = {"nope"}}); }).find("'nope'"),
            std::string::npos);
  for (const LayerBits bits :
       {LayerBits{1, 8}, LayerBits{9, 8}, LayerBits{8, 1}, LayerBits{8, 32}}) {
    EXPECT_THROW(quantize(graph, ranges, {.fallback = bits, .layers = {}}), Error);
  }
}

TEST(quantize, reports_why_layers_stay_in_float) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId product = net.add({.op = "MatMul", .name = "plain", .inputs = {net.last, w}});
  const ValueId gram = net.add({.op = "MatMul", .name = "gram", .inputs = {product, product}});
  net.add({.op = "MatMul", .name = "skipped", .inputs = {gram, w}});
  const Graph graph = net.finish();
  QuantizeReport report;
  const RangeReport ranges = analyze(graph, Synthetic(24, {12}), {.batch = 12});
  const Graph result =
      quantize(graph, ranges, {.fallback = {8, 8}, .layers = {}}, {.skip = {"skipped"}}, &report);
  EXPECT_EQ(report.quantized_layers, 2);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "skipped");
  // The weight is shared: the float layer keeps its own.
  EXPECT_FALSE(is_quantized(result, "w"));
  EXPECT_TRUE(is_quantized(result, "w_1"));
}

TEST(quantize, a_plan_may_leave_a_layer_in_float) {
  const Graph graph = testing::three_convs();
  QuantizeReport report;
  const Graph result =
      quantize(graph, ranges_of(graph), {.layers = {{"conv2", {0, 0}}}}, {}, &report);
  EXPECT_EQ(report.quantized_layers, 2);
  EXPECT_FALSE(is_quantized(result, "conv2_w"));
  EXPECT_FALSE(is_quantized(result, "relu1"));
  EXPECT_TRUE(is_quantized(result, "relu2"));
}

TEST(quantize, an_already_quantized_graph_can_be_quantized_again) {
  const Graph graph = testing::residual();
  const Graph once = quantized(graph, {8, 8});
  const Graph twice = quantize(once, ranges_of(graph), {.fallback = {4, 8}, .layers = {}});
  EXPECT_EQ(value_named(twice, "conv2_w").type.quant->bits(), 4);
  EXPECT_GT(output_sqnr(graph, twice), 10);
}

// Largest difference of the integer kernels from fake-quantized floats, as a share of the largest
// output.
double integer_difference(const Graph& graph) {
  const std::vector<float> want = outputs(graph, images(16));
  const Tensor batch = read_batch(images(16), 0, 16, 1)[0];
  Program program =
      compile(graph, {.arithmetic = Arithmetic::integer, .input_shapes = {{"x", batch.shape()}}});
  const std::span<const float> have = program.run(std::span(&batch, 1))[0].data<float>();
  double worst = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(want[i]) - have[i]));
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
  }
  return worst / largest;
}

TEST(quantize_symmetric, activations_are_int8_around_zero_and_run_as_integers) {
  for (const Graph& graph : {testing::three_convs(), testing::residual()}) {
    for (const int bits : {8, 4}) {
      const Graph result = quantized(graph, {bits, bits}, {.target = "tensorrt"});
      int activations = 0;
      for (int32_t i = 0; i < result.value_count(); ++i) {
        const Value& value = result.value({i});
        if (!value.type.quant || value.is_constant()) continue;
        ++activations;
        EXPECT_EQ(value.type.quant->storage, DType::i8) << value.name;
        EXPECT_EQ(value.type.quant->zero_point[0], 0) << value.name;
        EXPECT_EQ(value.type.quant->qmin, -value.type.quant->qmax) << value.name;
      }
      EXPECT_GE(activations, 3);
      EXPECT_LT(integer_difference(result), 0.02);
      EXPECT_GT(output_sqnr(graph, result), bits == 8 ? 25 : 3);
    }
  }
}

TEST(quantize_symmetric, can_be_written_for_tensorrt_and_means_the_same) {
  const Graph graph = testing::residual();
  EXPECT_THROW(serialize_onnx(quantized(graph, {8, 8}), find_target("tensorrt")), Error);
  const Graph result = quantized(graph, {8, 8}, {.target = "tensorrt"});
  const Graph again = parse_onnx(serialize_onnx(result, find_target("tensorrt")));
  EXPECT_EQ(value_named(again, "x").type.quant->storage, DType::i8);
  EXPECT_GT(output_sqnr(result, again), 40);  // its biases are floats
}

TEST(quantize_symmetric, excludes_dynamic_quantization) {
  const Graph graph = testing::three_convs();
  const auto quantize_both = [&] {
    quantized(graph, {8, 8}, {.target = "tensorrt", .dynamic = true});
  };
  EXPECT_NE(error_of(quantize_both).find("dynamic"), std::string::npos);
  const Graph dynamic = quantized(graph, {8, 8}, {.dynamic = true});
  const auto write = [&] { serialize_onnx(dynamic, find_target("tensorrt")); };
  EXPECT_NE(error_of(write).find("TensorRT has no"), std::string::npos);
}

TEST(quantize_dynamic, computes_the_same_without_calibration) {
  for (const bool conv : {true, false}) {
    const Graph graph = conv ? testing::three_convs() : testing::perceptron();
    const Synthetic data(8, conv ? Shape{3, 6, 6} : Shape{12});
    const Graph result = quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
    const std::vector<float> a = outputs(graph, data), b = outputs(result, data);
    double signal = 0, noise = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      signal += static_cast<double>(a[i]) * a[i];
      noise += std::pow(static_cast<double>(a[i]) - b[i], 2);
    }
    EXPECT_GT(sqnr_db(signal, noise), 30);
  }
}

TEST(quantize_dynamic, writes_integer_products) {
  const Graph graph = testing::perceptron();
  const Graph result = quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
  std::string ops;
  for (const NodeId id : result.nodes()) ops += result.node(id).op + " ";
  EXPECT_EQ(ops,
            "DynamicQuantizeLinear MatMulInteger Cast Mul Mul Add Relu "
            "DynamicQuantizeLinear MatMulInteger Cast Mul Mul Add ");
}

// 127 * 255 * 66,312 is above 2^31: whether a sum fits is a matter of its weights.
TEST(quantize_dynamic, long_sums_run_and_never_leave_int32) {
  for (const int64_t inputs : {60000, 70000}) {
    for (const bool largest : {false, true}) {
      NetworkBuilder net({-1, inputs});
      Tensor weight = net.normal({inputs, 2}, 0.01);
      if (largest) std::ranges::fill(weight.data<float>(), 0.5F);
      const ValueId w = net.constant("w", weight);
      net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
      const Graph graph = net.finish();
      const Synthetic rows(2, {inputs});
      const Graph result =
          quantize(graph, {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
      EXPECT_GT(testing::output_sqnr(graph, result, rows), 35) << inputs << largest;
    }
  }
}

TEST(choose_bits, a_network_that_mixes_samples_is_measured_one_at_a_time) {
  NetworkBuilder net({-1, 12});
  const ValueId w = net.constant("w", net.normal({12, 8}, 0.3));
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  const ValueId to = net.constant("to", Tensor::of<int64_t>({2}, {8, -1}));
  const ValueId columns = net.add({.op = "Reshape", .name = "columns", .inputs = {net.last, to}});
  const ValueId axes = net.constant("axes", Tensor::of<int64_t>({1}, {1}));
  net.add({.op = "ReduceMean", .name = "mean", .inputs = {columns, axes}});
  const Graph open = net.finish();
  Graph fixed = open;
  fixed.value(fixed.inputs[0]).type.shape = {1, 12};
  const Synthetic rows(64, {12});
  const auto measured = [&](const Graph& graph) {
    return choose_bits(graph, analyze(graph, rows), rows, {.average_weight_bits = 8},
                       {.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}})
        .sensitivities;
  };
  const auto have = measured(open), want = measured(fixed);
  ASSERT_EQ(have.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_EQ(have[i].sqnr_db, want[i].sqnr_db);
}

}  // namespace
}  // namespace nibble
