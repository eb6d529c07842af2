#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "output_error.h"
#include "quant/layers.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::Synthetic;

struct Fixture {
  Graph graph = testing::residual();
  Synthetic data{32, {3, 6, 6}};
  RangeReport ranges = analyze(graph, data);
};

TEST(choose_bits, keeps_to_an_average) {
  const Fixture f;
  const ChooseOptions options{.candidates = {8, 4, 2}, .quantize = {.first_and_last_8bit = false}};
  double last_noise = 1e300;
  for (const double average : {2.0, 3.0, 4.0, 5.5, 8.0}) {
    const BitChoice choice =
        choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = average}, options);
    EXPECT_LE(choice.average_weight_bits, average + 1e-9);
    ASSERT_EQ(choice.sensitivities.size(), 9U);
    double noise = 0;
    for (const Sensitivity& s : choice.sensitivities) {
      if (choice.plan.layers.at(s.node).weight_bits == s.bits)
        noise += std::pow(10, -s.sqnr_db / 10);
    }
    EXPECT_LE(noise, last_noise);
    last_noise = noise;
  }
}

TEST(choose_bits, its_front_holds_what_every_budget_would_choose) {
  const Fixture f;
  const ChooseOptions options{.candidates = {8, 4, 2}, .quantize = {.first_and_last_8bit = false}};
  const auto choose = [&](double average) {
    return choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = average}, options);
  };
  const std::vector<FrontPoint> front = choose(5).front;
  ASSERT_GT(front.size(), 4U);
  EXPECT_EQ(front.front().average_weight_bits, 2);
  EXPECT_EQ(front.back().average_weight_bits, 8);
  for (const FrontPoint& point : front) {
    const BitChoice choice = choose(point.average_weight_bits);
    EXPECT_NEAR(choice.average_weight_bits, point.average_weight_bits, 1e-9);
    EXPECT_FALSE(point.file_bytes);
    for (const auto& [layer, bits] : point.weight_bits) {
      EXPECT_EQ(choice.plan.of(layer).weight_bits, bits) << layer;
    }
  }
  // Where bytes are counted, of the whole file.
  const BitChoice by_size = choose_bits(f.graph, f.ranges, f.data, {.file_bytes = 100000}, options);
  const QuantizeOptions exact{.first_and_last_8bit = false};
  BitPlan plan{.fallback = {8, 8}};
  const auto bytes = serialize_onnx(quantize(f.graph, f.ranges, plan, exact)).size();
  EXPECT_NEAR(static_cast<double>(by_size.front.back().file_bytes.value()),
              static_cast<double>(bytes), 0.02 * static_cast<double>(bytes));
}

TEST(choose_bits, more_bits_are_less_noise_for_every_layer) {
  const Fixture f;
  const BitChoice choice =
      choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 8},
                  {.candidates = {2, 4, 8}, .quantize = {.first_and_last_8bit = false}});
  for (size_t i = 1; i < choice.sensitivities.size(); ++i) {
    const Sensitivity& a = choice.sensitivities[i - 1];
    const Sensitivity& b = choice.sensitivities[i];
    if (a.node != b.node) continue;
    EXPECT_GT(a.bits, b.bits);
    EXPECT_GT(a.sqnr_db, b.sqnr_db + 5);
  }
}

TEST(choose_bits, first_and_last_layer_have_no_choice) {
  const Fixture f;
  const BitChoice choice = choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 6}, {});
  EXPECT_EQ(choice.plan.of("conv1").weight_bits, 8);
  EXPECT_EQ(choice.plan.of("conv3").weight_bits, 8);
  EXPECT_EQ(choice.plan.of("conv2").weight_bits, 4);
}

TEST(choose_bits, a_file_size_is_kept_and_used) {
  const Fixture f;
  const auto bytes = [&](int bits) {
    return static_cast<int64_t>(
        serialize_onnx(quantize(f.graph, f.ranges, {.fallback = {bits, 8}, .layers = {}},
                                {.first_and_last_8bit = false}))
            .size());
  };
  const int64_t budget = (bytes(8) + bytes(4)) / 2;
  const ChooseOptions options{.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}};
  const BitChoice choice = choose_bits(f.graph, f.ranges, f.data, {.file_bytes = budget}, options);
  const Graph graph = quantize(f.graph, f.ranges, choice.plan, {.first_and_last_8bit = false});
  const auto size = static_cast<double>(serialize_onnx(graph).size());
  EXPECT_LE(size, 1.02 * static_cast<double>(budget));
  EXPECT_GT(choice.average_weight_bits, 4);
}

// conv1: 216 weights, conv2: 576, conv3: 32.
TEST(choose_bits, given_bits_count_in_the_average_and_are_kept) {
  const Fixture f;
  ChooseOptions options{.candidates = {8, 4, 2}, .quantize = {.first_and_last_8bit = false}};
  options.fixed_weight_bits = {{"conv2", 3}};
  const BitChoice choice =
      choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 4.2}, options);
  EXPECT_EQ(choice.plan.of("conv2").weight_bits, 3);
  // (4.2 * 824 - 3 * 576) / 248 = 6.99 bits are left for the others.
  EXPECT_EQ(choice.plan.of("conv1").weight_bits + choice.plan.of("conv3").weight_bits, 12);
  const double sum = 3 * 576 + choice.plan.of("conv1").weight_bits * 216 +
                     choice.plan.of("conv3").weight_bits * 32;
  EXPECT_DOUBLE_EQ(choice.average_weight_bits, sum / 824);
  options.fixed_weight_bits = {{"conv1", 16}, {"conv2", 4}};
  options.quantize.first_and_last_8bit = true;
  const BitChoice wide =
      choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 8}, options);
  EXPECT_EQ(wide.plan.of("conv1").weight_bits, 16);
  EXPECT_EQ(wide.plan.of("conv2").weight_bits, 4);
  options.fixed_weight_bits = {{"conv9", 4}};
  EXPECT_THROW(choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 8}, options), Error);
}

TEST(choose_bits, skipped_layers_stay_in_float_and_do_not_count) {
  const Fixture f;
  ChooseOptions skips{.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}};
  skips.quantize.skip = {"conv1", "relu1"};
  ChooseOptions in_float{.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}};
  in_float.fixed_weight_bits = {{"conv1", 0}};
  for (const ChooseOptions& options : {skips, in_float}) {
    const BitChoice choice =
        choose_bits(f.graph, f.ranges, f.data, {.average_weight_bits = 4.3}, options);
    EXPECT_EQ(choice.plan.of("conv1").weight_bits, 0);
    EXPECT_EQ(choice.plan.of("conv2").weight_bits, 4);
    EXPECT_EQ(choice.plan.of("conv3").weight_bits, 8);
    EXPECT_DOUBLE_EQ(choice.average_weight_bits, (576 * 4 + 32 * 8) / 608.0);
    for (const Sensitivity& s : choice.sensitivities) EXPECT_NE(s.node, "conv1");
    QuantizeReport report;
    quantize(f.graph, f.ranges, choice.plan, {.first_and_last_8bit = false}, &report);
    EXPECT_EQ(report.quantized_layers, 2);
  }
}

TEST(choose_bits, a_file_size_counts_skipped_layers_as_floats) {
  const Fixture f;
  ChooseOptions options{.candidates = {8, 4}, .quantize = {.first_and_last_8bit = false}};
  options.quantize.skip = {"conv1"};
  const auto bytes = [&](int bits) {
    const BitPlan plan{.fallback = {bits, 8}, .layers = {}};
    return static_cast<int64_t>(
        serialize_onnx(quantize(f.graph, f.ranges, plan, options.quantize)).size());
  };
  // Between the sizes there is room for conv3 at 8 bits, not for conv2.
  const int64_t budget = (bytes(8) + bytes(4)) / 2;
  const BitChoice choice = choose_bits(f.graph, f.ranges, f.data, {.file_bytes = budget}, options);
  EXPECT_EQ(choice.plan.of("conv2").weight_bits, 4);
  EXPECT_EQ(choice.plan.of("conv3").weight_bits, 8);
}

// By hand: of residual(), conv1 3x8, conv2 8x8 (both 3x3) and conv3 8x4 (1x1), on 6x6.
constexpr double kMacs1 = 36.0 * 8 * 27, kMacs2 = 36.0 * 8 * 72, kMacs3 = 36.0 * 4 * 8;

TEST(choose_bits, bit_operations_are_multiplications_times_the_bits_of_both_factors) {
  const Fixture f;
  const ChooseOptions options{.quantize = {.first_and_last_8bit = false}};
  const auto choose = [&](double limit) {
    return choose_bits(f.graph, f.ranges, f.data, {.bit_operations = limit}, options);
  };
  const double all = kMacs1 + kMacs2 + kMacs3;
  EXPECT_EQ(choose(1e12).point.bit_operations, 64 * all);
  EXPECT_EQ(choose(32 * all).point.bit_operations, 32 * all);
  const BitChoice between = choose(48 * all);
  EXPECT_LE(between.point.bit_operations, 48 * all);
  double sum = 0;
  for (const auto& [layer, macs] :
       std::map<std::string, double>{{"conv1", kMacs1}, {"conv2", kMacs2}, {"conv3", kMacs3}}) {
    sum += macs * 8 * between.plan.of(layer).weight_bits;
  }
  EXPECT_EQ(between.point.bit_operations, sum);
  for (size_t i = 1; i < between.front.size(); ++i) {
    EXPECT_GT(between.front[i].bit_operations, between.front[i - 1].bit_operations);
    EXPECT_GT(between.front[i].sqnr_db, between.front[i - 1].sqnr_db);
  }
  const std::string error = testing::error_of([&] { choose(31 * all); });
  EXPECT_NE(error.find("the least is"), std::string::npos) << error;
}

TEST(choose_bits, what_stays_in_float_counts_as_32_times_32_bit_operations) {
  const Fixture f;
  const ChooseOptions options{.quantize = {.first_and_last_8bit = false, .skip = {"conv2"}}};
  const BitChoice choice =
      choose_bits(f.graph, f.ranges, f.data, {.bit_operations = 1e12}, options);
  EXPECT_EQ(choice.point.bit_operations, 64 * (kMacs1 + kMacs3) + 1024 * kMacs2);
  const ChooseOptions weights{.activation_bits = 0, .quantize = {.first_and_last_8bit = false}};
  EXPECT_EQ(choose_bits(f.graph, f.ranges, f.data, {.bit_operations = 1e12}, weights)
                .point.bit_operations,
            8 * 32 * (kMacs1 + kMacs2 + kMacs3))
      << "weights alone: the other factor is a float";
}

TEST(choose_bits, the_choice_is_a_point_of_its_front) {
  const Fixture f;
  const ChooseOptions options{.candidates = {8, 4, 2}, .quantize = {.first_and_last_8bit = false}};
  for (const Budget& budget : {Budget{.average_weight_bits = 5}, Budget{.file_bytes = 4500},
                               Budget{.bit_operations = 1e6}}) {
    const BitChoice choice = choose_bits(f.graph, f.ranges, f.data, budget, options);
    EXPECT_TRUE(std::ranges::any_of(choice.front, [&](const FrontPoint& point) {
      return point.weight_bits == choice.point.weight_bits;
    }));
    EXPECT_EQ(choice.budget.bit_operations, budget.bit_operations);
    EXPECT_EQ(choice.budget.file_bytes, budget.file_bytes);
  }
}

TEST(choose_bits, says_what_can_be_had) {
  const Fixture f;
  const auto message = [&](const Budget& budget) -> std::string {
    try {
      choose_bits(f.graph, f.ranges, f.data, budget, {});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message({.average_weight_bits = 4}).find("the least is 5.2"), std::string::npos)
      << message({.average_weight_bits = 4});
  EXPECT_NE(message({.file_bytes = 100}).find("the least is about"), std::string::npos);
  EXPECT_NE(message({}).find("exactly one"), std::string::npos);
  EXPECT_NE(message({.average_weight_bits = 5, .file_bytes = 5}).find("exactly one"),
            std::string::npos);
}

TEST(choose_bits, a_file_size_is_kept_for_every_target) {
  const Fixture f;
  for (const Target& target : targets()) {
    ChooseOptions options{.candidates = {8, 4, 2}};
    options.quantize.first_and_last_8bit = false;
    options.quantize.target = target.name;
    const auto size_of = [&](const BitPlan& plan) {
      const Graph q = quantize(f.graph, f.ranges, plan, options.quantize);
      return static_cast<int64_t>(serialize_onnx(q, target).size());
    };
    const int64_t most = size_of({.fallback = {8, 8}, .layers = {}});
    const int64_t least = size_of({.fallback = {2, 8}, .layers = {}});
    const int64_t budget = (most + 3 * least) / 4 + least / 16;
    const BitChoice choice =
        choose_bits(f.graph, f.ranges, f.data, {.file_bytes = budget}, options);
    EXPECT_LE(static_cast<double>(size_of(choice.plan)), 1.02 * static_cast<double>(budget))
        << target.name;
    // Where fewer bits take no less room, none are given up.
    if (most == least) {
      EXPECT_EQ(choice.average_weight_bits, 8) << target.name;
    }
  }
}

TEST(choose_bits, measures_what_quantize_will_do) {
  const Graph graph = testing::perceptron(12, 64);
  const Synthetic rows(64, {12});
  const RangeReport ranges = analyze(graph, rows);
  const auto measured = [&](const QuantizeOptions& quantize_options) {
    const ChooseOptions options{
        .candidates = {4}, .activation_bits = 0, .quantize = quantize_options};
    const BitChoice choice = choose_bits(graph, ranges, rows, {.average_weight_bits = 4}, options);
    return choice.sensitivities;
  };
  const auto truth = [&](const std::string& layer, const QuantizeOptions& quantize_options) {
    BitPlan plan{.fallback = {0, 0}, .layers = {{layer, {4, 0}}}};
    return testing::output_sqnr(graph, quantize(graph, ranges, plan, quantize_options), rows);
  };
  QuantizeOptions usual{.first_and_last_8bit = false};
  QuantizeOptions wide = usual, blocks = usual, uncorrected = usual;
  wide.weight_observer = "min-max";
  blocks.weight_block_size = 8;
  uncorrected.bias_correction = false;
  for (const QuantizeOptions& options : {usual, wide, blocks, uncorrected}) {
    for (const Sensitivity& s : measured(options)) {
      EXPECT_NEAR(s.sqnr_db, truth(s.node, options), 1e-3) << s.node;
    }
  }
  EXPECT_NE(measured(usual)[0].sqnr_db, measured(wide)[0].sqnr_db);
  EXPECT_GT(measured(blocks)[1].sqnr_db, measured(usual)[1].sqnr_db);
}

// Within a byte for each zero point, which takes half of one at 4 bits.
TEST(file_size, a_budget_of_the_least_size_is_met_and_kept_for_every_target) {
  const Graph graph = testing::residual();
  const Synthetic data(8, {3, 6, 6});
  const RangeReport ranges = analyze(graph, data);
  for (const Target& target : targets()) {
    const QuantizeOptions options{.target = std::string(target.name), .first_and_last_8bit = false};
    const auto size_of = [&](const BitPlan& plan) {
      return std::ssize(serialize_onnx(quantize(graph, ranges, plan, options), target));
    };
    const int64_t least = size_of({.fallback = {4, 8}, .layers = {}});
    const auto choose = [&](int64_t bytes) {
      return choose_bits(graph, ranges, data, {.file_bytes = bytes}, {.quantize = options}).plan;
    };
    EXPECT_LE(size_of(choose(least + 32)), least + 32) << target.name;
    EXPECT_THROW(choose(least - 64), Error) << target.name;
  }
}

TEST(inspect, counts_parameters_and_macs_and_says_why_not) {
  const std::vector<NodeSupport> nodes = inspect_nodes(testing::residual());
  ASSERT_EQ(nodes.size(), 6U);
  EXPECT_EQ(nodes[0].parameters, 3 * 8 * 9 + 8);
  EXPECT_EQ(nodes[0].macs, 3 * 8 * 9 * 36);
  EXPECT_TRUE(nodes[0].quantizable);
  EXPECT_EQ(nodes[3].op, "Add");
  EXPECT_TRUE(nodes[3].quantizable);
  EXPECT_EQ(nodes[3].parameters, 0);
  testing::NetworkBuilder net({-1, 12});
  net.add({.op = "MatMul", .name = "gram", .inputs = {net.last, net.last}});
  net.add({.op = "Exp", .name = "exp", .inputs = {net.last}});
  const std::vector<NodeSupport> odd = inspect_nodes([&] {
    Graph graph = net.finish();
    graph.value(graph.inputs[0]).type.shape = {12, 12};
    return graph;
  }());
  EXPECT_TRUE(odd[0].quantizable);
  EXPECT_EQ(odd[0].reason, "integer product of two activations");
  EXPECT_EQ(odd[0].macs, 12 * 12 * 12);
}

TEST(inspect, sizes_that_the_model_leaves_open_are_not_guessed) {
  testing::NetworkBuilder net({-1, 3, -1, -1});
  net.conv("conv", net.last, 3, 4);
  net.add({.op = "GlobalAveragePool", .name = "pool", .inputs = {net.last}});
  net.add({.op = "Flatten", .name = "flat", .inputs = {net.last}});
  const ValueId w = net.constant("w", net.normal({4, 5}, 1));
  net.add({.op = "Gemm", .name = "fc", .inputs = {net.last, w}});
  const std::vector<NodeSupport> nodes = inspect_nodes(net.finish());
  EXPECT_TRUE(nodes[0].quantizable);
  EXPECT_EQ(nodes[0].macs, 0);
  EXPECT_NE(nodes[0].reason.find("MACs are unknown"), std::string::npos) << nodes[0].reason;
  EXPECT_EQ(nodes[3].macs, 4 * 5);
  EXPECT_EQ(nodes[3].reason.find("unknown"), std::string::npos) << nodes[3].reason;
}

TEST(inspect, counts_operators_on_integers) {
  Graph graph;
  graph.opsets[""] = 21;
  const ValueId rows = graph.add_value("rows", {.dtype = DType::u8, .shape = {2, 12}});
  const ValueId image = graph.add_value("image", {.dtype = DType::u8, .shape = {1, 3, 6, 6}});
  graph.inputs = {rows, image};
  const ValueId matrix = graph.add_constant("matrix", Tensor(DType::i8, {12, 5}));
  const ValueId filter = graph.add_constant("filter", Tensor(DType::i8, {8, 3, 3, 3}));
  graph.outputs = {graph.add_value("a", {}), graph.add_value("b", {})};
  graph.add_node({.op = "MatMulInteger",
                  .name = "matmul",
                  .inputs = {rows, matrix},
                  .outputs = {graph.outputs[0]}});
  graph.add_node({.op = "ConvInteger",
                  .name = "conv",
                  .inputs = {image, filter},
                  .outputs = {graph.outputs[1]}});
  const std::vector<NodeSupport> nodes = inspect_nodes(graph);
  EXPECT_EQ(nodes[0].parameters, 12 * 5);
  EXPECT_EQ(nodes[0].macs, 2 * 12 * 5);
  EXPECT_EQ(nodes[1].parameters, 8 * 3 * 9);
  EXPECT_EQ(nodes[1].macs, 8 * 3 * 9 * 4 * 4);
}

TEST(inspect, says_which_batch_norm_is_folded) {
  testing::NetworkBuilder net({-1, 3, 6, 6});
  const auto norm = [&](const std::string& name, int64_t channels) {
    Node node{.op = "BatchNormalization", .name = name, .inputs = {net.last}};
    for (const char* part : {"_scale", "_bias", "_mean", "_var"}) {
      node.inputs.push_back(net.constant(name + part, net.normal({channels}, 0.01, 1)));
    }
    net.add(std::move(node));
  };
  norm("alone", 3);
  net.conv("conv", net.last, 3, 4);
  norm("folded", 4);
  const std::vector<NodeSupport> nodes = inspect_nodes(net.finish());
  EXPECT_EQ(nodes[0].reason.find("folded"), std::string::npos) << nodes[0].reason;
  EXPECT_TRUE(nodes[2].quantizable);
  EXPECT_EQ(nodes[2].reason, "is folded into the layer before it");
}

TEST(layers, inputs_and_outputs_that_are_left_out_link_nothing) {
  testing::NetworkBuilder net({1, 3, 6, 6});
  const ValueId first = net.conv("conv1", net.last, 3, 4);
  // Between them in order, but with no layer before or behind it.
  const ValueId lone = net.conv("lone", net.graph.inputs[0], 3, 4);
  net.add({.op = "Clip", .name = "clip", .inputs = {first, ValueId{}, ValueId{}}});
  net.graph.outputs = {net.conv("conv2", net.last, 4, 4), lone};
  Graph graph = net.graph;
  std::set<std::string> layers;
  for (const NodeId id : graph.nodes()) {
    Node& node = graph.node(id);
    if (node.op == "Conv") layers.insert(node.name);
    if (node.op == "Conv") node.outputs.push_back({});
    if (node.op == "Conv") node.inputs.push_back({});
  }
  EXPECT_EQ(layers_at_the_ends(graph, layers), layers);
}

}  // namespace
}  // namespace nibble
