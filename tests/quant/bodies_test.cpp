// Layers in the bodies of If, Loop and Scan are layers like all others.
#include "support/bodies.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "nibble/runtime.h"
#include "passes/insert_qdq.h"
#include "ranges/rounding.h"
#include "support/errors.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::BodyBuilder;
using testing::NetworkBuilder;
using testing::Synthetic;
using testing::value_of;

// Layer, Relu, layer on what is called "before" outside.
std::shared_ptr<const Graph> branch(NetworkBuilder& net, const std::string& name) {
  BodyBuilder body;
  const ValueId data = body.capture("before");
  const ValueId w1 = body.graph.add_constant(name + "_w1", net.normal({12, 12}, 0.3));
  const ValueId w2 = body.graph.add_constant(name + "_w2", net.normal({12, 12}, 0.3));
  const ValueId first = body.matmul(name + "1", data, w1);
  const ValueId relu = body.add({.op = "Relu", .name = name + "_relu", .inputs = {first}});
  return body.finish({body.matmul(name + "2", relu, w2)});
}

// A layer, then two in each branch, then one more; which branch runs depends on the sum of the
// data.
Graph branches(float least = 66) {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  const ValueId condition = testing::sum_exceeds(net, x, least);
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId before = net.add({.op = "MatMul", .name = "before", .inputs = {x, w}});
  testing::choose(net, condition, {before}, branch(net, "then"), branch(net, "else"));
  const ValueId last = net.constant("last_w", net.normal({12, 12}, 0.3));
  net.add({.op = "MatMul", .name = "after", .inputs = {net.last, last}});
  return net.finish();
}

// state = tanh(state W + x), three times; the states are stacked.
Graph loop() {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  BodyBuilder body;
  body.input("i", {.dtype = DType::i64, .shape = {}});
  const ValueId going = body.input("going", {.dtype = DType::boolean, .shape = {}});
  const ValueId state = body.input("state", {.dtype = DType::f32});
  const ValueId kept = body.graph.add_value("kept", {.dtype = DType::boolean, .shape = {}});
  body.graph.add_node({.op = "Identity", .name = "keep", .inputs = {going}, .outputs = {kept}});
  const ValueId product = body.matmul("layer", state, body.capture("w"));
  const ValueId sum =
      body.add({.op = "Add", .name = "sum", .inputs = {product, body.capture("x")}});
  const ValueId next = body.add({.op = "Tanh", .name = "next", .inputs = {sum}});
  const ValueId trips = net.constant("trips", Tensor::scalar<int64_t>(3));
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  Node node{.op = "Loop", .name = "loop", .inputs = {trips, ValueId{}, x}, .captures = {w, x}};
  node.attributes.set("body", body.finish({kept, next}));
  net.add(std::move(node));
  const ValueId last = net.constant("last_w", net.normal({12, 12}, 0.3));
  net.add({.op = "MatMul", .name = "after", .inputs = {net.last, last}});
  return net.finish();
}

Tensor run(const Graph& graph, const Tensor& x, Arithmetic arithmetic = Arithmetic::integer) {
  return compile(graph, {.arithmetic = arithmetic, .input_shapes = {{"x", x.shape()}}})
      .run(std::span(&x, 1))[0]
      .clone();
}

// One sample like those of Synthetic for each branch.
std::vector<Tensor> samples() {
  std::vector<Tensor> both;
  for (const float shift : {1.0F, -1.0F}) {
    Random random(4);
    Tensor x = testing::random_tensor({1, 12}, random, 0.5);
    for (size_t i = 0; i < 12; ++i) x.data<float>()[i] += static_cast<float>(i) + shift;
    both.push_back(std::move(x));
  }
  return both;
}

double worst(const Graph& a, const Graph& b, Arithmetic arithmetic = Arithmetic::integer) {
  double most = 0;
  for (const Tensor& x : samples()) {
    most = std::max(most, testing::max_error(run(a, x, arithmetic), run(b, x)));
  }
  return most;
}

const Synthetic kData(32, {12});

TEST(bodies, weights_of_layers_in_branches_are_quantized_in_every_mode) {
  const Graph graph = branches();
  const RangeReport ranges = analyze(graph, kData);
  for (const int bits : {8, 4}) {
    for (const bool dynamic : {false, true}) {
      QuantizeReport report;
      const Graph small = quantize(graph, ranges, {.fallback = {bits, dynamic ? 8 : 0}},
                                   {.first_and_last_8bit = false, .dynamic = dynamic}, &report);
      EXPECT_EQ(report.quantized_layers, 6);
      EXPECT_TRUE(report.why_not.empty());
      EXPECT_EQ(report.layers.at("if/then_branch/then1"), (LayerBits{bits, dynamic ? 8 : 0}));
      EXPECT_EQ(is_quantized(small), !dynamic);
      const std::string bytes = serialize_onnx(small);
      // Here the nodes that find ranges while running are more than what is saved.
      EXPECT_EQ(bytes.size() < serialize_onnx(graph).size(), !dynamic);
      EXPECT_LE(worst(parse_onnx(bytes), small), 1e-5);
      EXPECT_LE(worst(small, graph), bits == 8 ? 0.3 : 3);
      EXPECT_GT(worst(small, graph), 0);
    }
  }
}

TEST(bodies, a_layer_in_a_branch_is_named_by_its_path) {
  const Graph graph = branches();
  const RangeReport ranges = analyze(graph, kData);
  QuantizeReport report;
  quantize(graph, ranges, {.layers = {{"if/else_branch/else1", {4, 8}}}},
           {.skip = {"if/then_branch/then1"}}, &report);
  EXPECT_EQ(report.layers.at("if/else_branch/else1").weight_bits, 4);
  ASSERT_EQ(report.why_not.size(), 1U);
  EXPECT_EQ(report.why_not[0].node, "if/then_branch/then1");
  EXPECT_EQ(report.why_not[0].reason, "it is to be skipped");
  EXPECT_NE(testing::error_of([&] {
              quantize(graph, ranges, {}, {.skip = {"if/then_branch/nope"}});
            }).find("is not a node"),
            std::string::npos);
}

TEST(bodies, the_graph_that_was_given_keeps_its_branches) {
  const Graph graph = branches();
  const std::string before = serialize_onnx(graph);
  quantize(graph, analyze(graph, kData), {});
  EXPECT_EQ(serialize_onnx(graph), before);
}

TEST(bodies, values_in_a_branch_are_measured_on_the_samples_for_which_it_ran) {
  const RangeReport ranges = analyze(branches(), kData, {.batch = 1});
  const TensorRange* then = ranges.find("if/then_branch/then1_y");
  const TensorRange* otherwise = ranges.find("if/else_branch/else1_y");
  const TensorRange* before = ranges.find("before");
  ASSERT_TRUE(then != nullptr && otherwise != nullptr && before != nullptr);
  EXPECT_EQ(then->node, "if/then_branch/then1");
  EXPECT_GT(then->total.count, 0);
  EXPECT_GT(otherwise->total.count, 0);
  EXPECT_EQ(then->total.count + otherwise->total.count, before->total.count);
  EXPECT_TRUE(ranges.find("if/then_branch/then_w1")->is_weight);
  EXPECT_EQ(ranges.find("if/then_branch/before"), nullptr);  // is what it is around the branch
}

TEST(bodies, values_in_a_loop_are_measured_at_every_iteration) {
  const RangeReport ranges = analyze(loop(), kData);
  const TensorRange* product = ranges.find("loop/body/layer_y");
  ASSERT_NE(product, nullptr);
  EXPECT_EQ(product->total.count, 3 * 32 * 12);
  EXPECT_EQ(ranges.find("x")->total.count, 32 * 12);
  // The first state is x, the others are within one.
  EXPECT_EQ(ranges.find("loop/body/state")->total.maximum, ranges.find("x")->total.maximum);
  EXPECT_LE(ranges.find("loop/body/next_y")->total.maximum, 1);
}

// The order of constants aside.
void expect_same_file(const Graph& graph, const std::string& bytes) {
  std::string again = serialize_onnx(graph), other = bytes;
  std::ranges::sort(again);
  std::ranges::sort(other);
  EXPECT_TRUE(again == other);
}

// What a file says runs alike in integers, as its arithmetic says, and read back.
void expect_integer_layers(const Graph& graph, const std::vector<std::string>& layers) {
  QuantizeReport report;
  const Graph small = quantize(graph, analyze(graph, kData), {}, {}, &report);
  for (const std::string& layer : layers) {
    EXPECT_EQ(report.layers.at(layer), (LayerBits{8, 8})) << layer;
  }
  EXPECT_TRUE(report.why_not.empty());
  const std::string bytes = serialize_onnx(small);
  const Graph again = parse_onnx(bytes);
  expect_same_file(again, bytes);
  EXPECT_EQ(worst(again, small), 0);
  EXPECT_LE(worst(small, small, Arithmetic::fake_quantize), 0.1);  // off by codes at ties
  EXPECT_LE(worst(small, graph), 0.3);
  for (const Graph& one : {small, again}) {
    Program program = compile(one, {.input_shapes = {{"x", {1, 12}}}});
    const Tensor x = samples()[0];
    program.run(std::span(&x, 1));
    program.profile(true);
    program.run(std::span(&x, 1));
    for (const std::string& layer : layers) {
      for (const StepProfile& line : program.profile()) {
        if (line.node == layer) {
          EXPECT_NE(line.kernel, "eval") << layer;
          EXPECT_EQ(line.kernel.find("f32"), std::string::npos) << layer << ": " << line.kernel;
        }
      }
    }
    EXPECT_GE(program.coverage().integer_nodes, std::ssize(layers));
  }
}

TEST(bodies, layers_in_branches_run_on_integers) {
  expect_integer_layers(branches(),
                        {"before", "if/then_branch/then1", "if/then_branch/then2", "after"});
}

TEST(bodies, layers_in_loops_run_on_integers) {
  expect_integer_layers(loop(), {"loop/body/layer", "after"});
}

TEST(bodies, a_captured_value_has_the_grid_that_it_has_around) {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  const ValueId condition = testing::sum_exceeds(net, x, 66);
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId before = net.add({.op = "MatMul", .name = "before", .inputs = {x, w}});
  const ValueId chosen =
      testing::choose(net, condition, {before}, branch(net, "then"), branch(net, "else"));
  const ValueId v = net.constant("v", net.normal({12, 12}, 0.3));
  const ValueId beside = net.add({.op = "MatMul", .name = "beside", .inputs = {before, v}});
  net.add({.op = "Add", .name = "add", .inputs = {chosen, beside}});
  const Graph graph = net.finish();
  const Graph small = quantize(graph, analyze(graph, kData), {});
  const auto& outside = value_of(small, "before").type.quant;
  ASSERT_TRUE(outside);
  EXPECT_EQ(value_of(testing::body_of(small, "if", "then_branch"), "before").type.quant, outside);
  // One pair around the branch, none in it for what comes in: the Relu between its two layers has
  // one.
  const std::string bytes = serialize_onnx(small);
  const Graph again = parse_onnx(bytes);
  EXPECT_EQ(value_of(testing::body_of(again, "if", "then_branch"), "before").type.quant, outside);
  expect_same_file(again, bytes);
}

TEST(bodies, a_branch_that_never_ran_quantizes_weights_alone_and_says_so) {
  const Graph graph = branches(1e9F);
  QuantizeReport report;
  const Graph small = quantize(graph, analyze(graph, kData), {}, {}, &report);
  EXPECT_EQ(report.layers.at("if/then_branch/then1"), (LayerBits{8, 0}));
  EXPECT_EQ(report.layers.at("if/else_branch/else1"), (LayerBits{8, 8}));
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_TRUE(report.notes[0].starts_with("'if/then_branch' ran for none of the samples"));
  EXPECT_LE(worst(parse_onnx(serialize_onnx(small)), small), 1e-5);
}

TEST(bodies, ranges_that_know_nothing_of_bodies_quantize_their_weights) {
  const Graph graph = branches();
  RangeReport ranges = analyze(graph, kData);
  std::erase_if(ranges.tensors,
                [](const TensorRange& range) { return range.name.starts_with("if/"); });
  QuantizeReport report;
  quantize(graph, ranges, {}, {}, &report);
  EXPECT_EQ(report.layers.at("if/then_branch/then1"), (LayerBits{8, 0}));
  EXPECT_EQ(report.layers.at("before"), (LayerBits{8, 8}));
  EXPECT_EQ(report.notes.size(), 2U);
}

TEST(bodies, what_two_branches_cut_from_one_weight_is_folded_and_kept_once) {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  const ValueId condition = testing::sum_exceeds(net, x, 66);
  const ValueId both = net.constant("both", net.normal({24, 64}, 0.3));
  const auto half = [&](const std::string& name, bool turned) {
    BodyBuilder body;
    const ValueId starts = body.graph.add_constant(name + "_from", Tensor::of<int64_t>({1}, {12}));
    const ValueId ends = body.graph.add_constant(name + "_to", Tensor::of<int64_t>({1}, {24}));
    const ValueId cut = body.add(
        {.op = "Slice", .name = name + "_cut", .inputs = {body.capture("both"), starts, ends}});
    const ValueId y = body.matmul(name, body.capture("x"), cut);
    return body.finish({turned ? body.add({.op = "Neg", .name = "turn", .inputs = {y}}) : y});
  };
  testing::choose(net, condition, {both, x}, half("then", false), half("else", true));
  const Graph graph = net.finish();
  for (const int bits : {8, 4}) {
    QuantizeReport report;
    const Graph small =
        quantize(graph, {}, {.fallback = {bits, 0}}, {.first_and_last_8bit = false}, &report);
    EXPECT_EQ(report.quantized_layers, 2);
    EXPECT_TRUE(report.why_not.empty());
    const std::string bytes = serialize_onnx(small);
    const size_t stored = 12 * 64 * static_cast<size_t>(bits) / 8 + 64 * 4;
    EXPECT_LT(bytes.size(), stored + 1500);  // once, and names
    EXPECT_GT(bytes.size(), stored);
    EXPECT_EQ(worst(parse_onnx(bytes), small), 0);
    EXPECT_LE(worst(small, graph), bits == 8 ? 0.3 : 4);
  }
}

TEST(bodies, layers_with_no_layer_before_or_behind_them_keep_8_bits) {
  NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  const ValueId condition = testing::sum_exceeds(net, x, 66);
  net.graph.value(x).name = "before";
  testing::choose(net, condition, {x}, branch(net, "then"), branch(net, "else"));
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  net.add({.op = "MatMul", .name = "after", .inputs = {net.last, w}});
  QuantizeReport report;
  quantize(net.finish(), {}, {.fallback = {4, 0}}, {}, &report);
  EXPECT_EQ(report.layers.at("if/then_branch/then1").weight_bits, 8);  // first
  EXPECT_EQ(report.layers.at("if/then_branch/then2").weight_bits, 4);
  EXPECT_EQ(report.layers.at("after").weight_bits, 8);  // last
}

TEST(bodies, have_a_part_in_the_choice_of_bits) {
  const Graph graph = branches();
  const BitChoice choice = choose_bits(graph, analyze(graph, kData), kData,
                                       {.average_weight_bits = 6.0, .file_bytes = {}});
  EXPECT_LE(choice.average_weight_bits, 6);
  EXPECT_TRUE(choice.plan.layers.contains("if/then_branch/then2"));
  const auto measured = [&](const std::string& node, int bits) {
    const auto found = std::ranges::find_if(choice.sensitivities, [&](const Sensitivity& one) {
      return one.node == node && one.bits == bits;
    });
    return found == choice.sensitivities.end() ? -1 : found->sqnr_db;
  };
  EXPECT_GT(measured("if/then_branch/then2", 8), measured("if/then_branch/then2", 4));
  EXPECT_GT(measured("if/then_branch/then2", 4), 0);
  const RangeReport ranges = analyze(graph, kData);
  const auto size_of = [&](const BitPlan& plan) {
    return static_cast<int64_t>(serialize_onnx(quantize(graph, ranges, plan)).size());
  };
  const int64_t all = size_of({});
  const auto choose = [&](int64_t bytes) {
    return choose_bits(graph, ranges, kData, {.average_weight_bits = {}, .file_bytes = bytes});
  };
  EXPECT_EQ(choose(all).average_weight_bits, 8);
  const BitChoice small = choose(all - 100);
  EXPECT_LT(small.average_weight_bits, 8);
  EXPECT_LE(size_of(small.plan), all - 100);
}

// The result of every batch that a method of rounding sees is data times weight, and 32 samples
// come by one branch or the other.
int64_t rows_seen = 0;
std::vector<RoundedWeight> count_rows(const RoundingScope& scope, ThreadPool& pool) {
  const WeightToRound& one = scope.weights[0];
  one.samples->visit([&](const LayerBatch& batch) {
    const Tensor &data = batch.data, &result = batch.result;
    rows_seen += data.shape()[0];
    double sum = 0;
    for (size_t k = 0; k < 12; ++k) {
      sum += double{data.data<float>()[k]} * double{one.weight.data<float>()[k * 12]};
    }
    EXPECT_NEAR(result.data<float>()[0], sum, 1e-3) << one.node->name;
  });
  return {{.codes = round_weight(find_rounding("nearest"), one.weight, one.params, pool)}};
}
const RoundingRegistration kCounts(
    {.name = "counts rows", .summary = "a test", .needs_layer_samples = true, .round = count_rows});

TEST(bodies, that_never_ran_are_not_given_fewer_bits) {
  const Graph graph = branches(1e9F);
  const BitChoice choice = choose_bits(graph, analyze(graph, kData), kData,
                                       {.average_weight_bits = 7.0, .file_bytes = {}});
  EXPECT_EQ(choice.plan.layers.at("if/then_branch/then1").weight_bits, 8);
  EXPECT_LE(choice.average_weight_bits, 7);
}

TEST(bodies, are_rounded_by_what_their_samples_show) {
  const Graph graph = branches();
  rows_seen = 0;
  quantize(graph, analyze(graph, kData), {},
           {.rounding = "counts rows",
            .samples = &kData,
            .bias_correction = false,
            .pair_safe = false,  // which might round once more
            .skip = {"before", "after", "if/then_branch/then1", "if/else_branch/else1"}});
  EXPECT_EQ(rows_seen, 32);
  rows_seen = 0;  // their data come from around them
  quantize(graph, analyze(graph, kData), {},
           {.rounding = "counts rows",
            .samples = &kData,
            .bias_correction = false,
            .pair_safe = false,  // which might round once more
            .skip = {"before", "after", "if/then_branch/then2", "if/else_branch/else2"}});
  EXPECT_EQ(rows_seen, 32);
}

TEST(bodies, are_compared_value_by_value) {
  for (const Graph& graph : {branches(), loop()}) {
    const Graph small = quantize(graph, analyze(graph, kData), {});
    const auto layers = compare_layers(prepare_for_quantization(graph), small, kData, 8, {});
    const auto in_body = std::ranges::count_if(
        layers, [](const LayerError& error) { return error.node.find('/') != std::string::npos; });
    EXPECT_GE(in_body, 2);
    for (const LayerError& error : layers) EXPECT_GT(error.sqnr_db, 15) << error.value;
  }
}

}  // namespace
}  // namespace nibble
