// Scales under which no runtime that adds products in pairs of 16 bits saturates.
#include <gtest/gtest.h>

#include <cmath>

#include "nibble/onnx.h"
#include "ops/weight_pairs.h"
#include "quant/quantized.h"
#include "quant/weights.h"
#include "ranges/rounding.h"

namespace nibble {
namespace {

using testing::images;
using testing::NetworkBuilder;
using testing::quantized;
using testing::Synthetic;
using testing::value_named;

// Unsafe pairs of the weight of a node, by its codes.
UnsafePairs unsafe(const Graph& graph, const Node& node, const std::string& weight,
                   PairOrder order = PairOrder::flattened, int32_t greatest = 255) {
  const Tensor& codes = value_named(graph, weight).data;
  return count_unsafe_pairs({node, codes.shape(), order}, unpack_integers(codes), greatest);
}

const Node& node_named(const Graph& graph, const std::string& name) {
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).name == name) return graph.node(id);
  }
  throw std::out_of_range("no node " + name);
}

// three_convs whose weights are all of one size and sign by channel: every pair is unsafe.
Graph heavy(Graph graph = testing::three_convs()) {
  for (const std::string name : {"conv1_w", "conv2_w"}) {
    for (float& w : graph.value(*graph.find_value(name)).data.data<float>()) {
      w = std::copysign(0.2F + 0.05F * std::abs(w), w);
    }
  }
  return graph;
}

TEST(pair_safe, scales_leave_no_pair_that_could_saturate) {
  const Graph graph = heavy();
  const Graph safe = quantized(graph, {8, 8});
  const Graph bare = quantized(graph, {8, 8}, {.pair_safe = false});
  for (const std::string name : {"conv1", "conv2", "conv3"}) {
    const Node& node = node_named(graph, name);
    EXPECT_EQ(unsafe(safe, node, name + "_w").unsafe, 0) << name;
    EXPECT_LE(unsafe(safe, node, name + "_w").worst, 128) << name;
  }
  EXPECT_GT(unsafe(bare, node_named(graph, "conv1"), "conv1_w").unsafe, 10);
  EXPECT_GT(testing::output_sqnr(graph, safe), testing::output_sqnr(graph, bare) - 6.1);  // a bit
}

TEST(pair_safe, a_network_whose_pairs_are_all_safe_keeps_its_integers) {
  Graph graph = testing::three_convs();
  for (const std::string name : {"conv1_w", "conv2_w", "conv3_w"}) {  // one large weight a channel
    const std::span<float> w = graph.value(*graph.find_value(name)).data.data<float>();
    for (size_t i = 0; i < w.size(); ++i) w[i] *= i % (name == "conv3_w" ? 8 : 9) == 0 ? 1 : 0.001F;
    if (name == "conv1_w") {
      for (size_t i = 9; i < w.size(); i += 27) w[i] = w[i + 9] = 0;
    }
    if (name != "conv1_w") {
      for (size_t i = 0; i < w.size(); ++i) {
        const size_t row = name == "conv3_w" ? 8 : 72;
        if (i % row != 0) w[i] *= 0.001F;
      }
    }
  }
  const Graph bare = quantized(graph, {8, 8}, {.pair_safe = false});
  EXPECT_EQ(unsafe(bare, node_named(graph, "conv2"), "conv2_w").unsafe, 0);
  EXPECT_EQ(serialize_onnx(quantized(graph, {8, 8})), serialize_onnx(bare));
}

TEST(pair_safe, scales_are_the_least_and_only_of_channels_that_need_it) {
  const Shape shape{4, 2};  // two pairs
  NetworkBuilder net({-1, 4});
  const ValueId w = net.constant("w", Tensor::of<float>(shape, {1, 1, 0.9F, 0, 0.4F, 0, 0, 0.3F}));
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  const Graph graph = net.finish();
  const Synthetic rows(64, {4});
  const auto quantize_with = [&](bool pair_safe) {
    const QuantizeOptions options{.weight_observer = "min-max", .pair_safe = pair_safe};
    return quantize(graph, analyze(graph, rows), {.fallback = {8, 8}, .layers = {}}, options);
  };
  const Graph safe = quantize_with(true), bare = quantize_with(false);
  const std::vector<float>& scale = value_named(safe, "w").type.quant->scale;
  EXPECT_EQ(scale[1], value_named(bare, "w").type.quant->scale[1]);
  // 1 / s and 0.9 / s must round to codes that sum to 128: 67 and 61 while 0.9 / s < 61.5.
  EXPECT_EQ(unpack_integers(value_named(safe, "w").data)[0], 67);
  EXPECT_EQ(unpack_integers(value_named(safe, "w").data)[2], 61);
  Graph closer = safe;
  QuantParams params = *value_named(safe, "w").type.quant;
  params.scale[0] = std::nextafter(params.scale[0], 0.0F);
  const Tensor codes = quantize_tensor(value_named(graph, "w").data, params);
  const WeightPairs pairs(node_named(graph, "fc"), shape, PairOrder::flattened);
  EXPECT_EQ(count_unsafe_pairs(pairs, unpack_integers(codes), 255).unsafe, 1);
}

// Every weight to the code farther from zero: what fits when rounded to nearest need not fit.
std::vector<RoundedWeight> away(const RoundingScope& scope, ThreadPool&) {
  std::vector<RoundedWeight> rounded;
  for (const WeightToRound& one : scope.weights) {
    std::vector<int32_t> integers;
    for (int64_t i = 0; i < one.weight.elements(); ++i) {
      const auto group = static_cast<size_t>(quant_group(one.params, one.weight.shape(), i));
      const float x = one.weight.data<float>()[static_cast<size_t>(i)] / one.params.scale[group];
      const float code = x < 0 ? std::floor(x) : std::ceil(x);
      integers.push_back(std::clamp(static_cast<int32_t>(code), one.params.qmin, one.params.qmax));
    }
    rounded.push_back({.codes = pack_integers(one.params.storage, one.weight.shape(), integers)});
  }
  return rounded;
}
const RoundingRegistration kAway({.name = "away", .summary = "from zero", .round = away});
const RoundingRegistration kSlowlyAway(
    {.name = "slowly-away", .summary = "from zero", .needs_layer_samples = true, .round = away});

TEST(pair_safe, holds_for_every_rounding_method) {
  const Graph graph = heavy();
  const Synthetic samples = images();
  for (const RoundingRow& row : roundings()) {
    if (row.summary == "a test") continue;  // of other tests, for other networks
    const Graph result = quantized(
        graph, {8, 8}, {.rounding = std::string(row.name), .samples = &samples, .threads = 1});
    for (const std::string name : {"conv1", "conv2", "conv3"}) {
      EXPECT_EQ(unsafe(result, node_named(graph, name), name + "_w").unsafe, 0)
          << row.name << ' ' << name;
    }
  }
}

TEST(pair_safe, asks_the_target) {
  const Graph graph = heavy();
  const Node& first = node_named(graph, "conv1");  // three input channels: the orders differ
  const Graph safe = quantized(graph, {8, 8}, {.target = "openvino"});
  EXPECT_EQ(unsafe(safe, first, "conv1_w", PairOrder::flattened).unsafe, 0);
  EXPECT_EQ(unsafe(safe, first, "conv1_w", PairOrder::per_position).unsafe, 0);
  const std::string bare = serialize_onnx(quantized(graph, {8, 8}, {.pair_safe = false}));
  EXPECT_EQ(serialize_onnx(quantized(graph, {8, 8}, {.target = "native"})), bare);
  EXPECT_GT(unsafe(quantized(graph, {8, 8}, {.target = "tensorrt"}), first, "conv1_w").unsafe, 0);
}

TEST(pair_safe, narrow_data_and_narrow_weights_cannot_saturate) {
  const Graph graph = heavy();
  for (const LayerBits bits : {LayerBits{8, 4}, LayerBits{6, 8}, LayerBits{4, 8}}) {
    const QuantizeOptions options{.first_and_last_8bit = false};
    QuantizeOptions bare = options;
    bare.pair_safe = false;
    EXPECT_EQ(serialize_onnx(quantized(graph, bits, options)),
              serialize_onnx(quantized(graph, bits, bare)))
        << bits.weight_bits << ' ' << bits.activation_bits;
  }
}

TEST(pair_safe, data_of_small_codes_leave_the_weights_room) {
  NetworkBuilder net({1, 4});
  const ValueId w = net.constant("w", Tensor::of<float>({4, 1}, {1, 1, 1, -1}));
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  const Graph graph = net.finish();
  QuantParams data{.storage = DType::u8, .qmin = 0, .qmax = 255};
  data.scale = {1};
  data.zero_point = {0};
  const auto codes = [&](int32_t greatest) {
    Graph result = graph;
    LayerTask task{.layer = {.id = result.nodes()[0], .name = "fc", .bits = {8, 8}},
                   .input_quant = data};
    task.greatest_code = greatest;
    ThreadPool pool(1);
    quantize_layers(result, {std::span(&task, 1), {}}, {.weight_observer = "min-max"}, pool);
    return unpack_integers(value_named(result, "w").data);
  };
  EXPECT_EQ(codes(255), (std::vector<int32_t>{64, 64, 64, -64}));
  EXPECT_EQ(codes(200), (std::vector<int32_t>{81, 81, 81, -81}));  // 163 * 200 is 32,600
  EXPECT_EQ(codes(128), (std::vector<int32_t>{127, 127, 127, -127}));
}

TEST(pair_safe, depthwise_convolutions_are_left_alone) {
  NetworkBuilder net({-1, 4, 6, 6});
  const ValueId w = net.constant("w", net.normal({4, 1, 3, 3}, 0.0, 0.5));
  Node node{.op = "Conv", .name = "depthwise", .inputs = {net.last, w}};
  node.attributes.set("group", int64_t{4});
  net.add(std::move(node));
  const Graph graph = net.finish();
  const Synthetic samples(16, {4, 6, 6});
  const auto with = [&](bool pair_safe) {
    return serialize_onnx(quantize(graph, analyze(graph, samples),
                                   {.fallback = {8, 8}, .layers = {}}, {.pair_safe = pair_safe}));
  };
  EXPECT_EQ(with(true), with(false));
}

// The weights of dynamic layers, by what their names end in.
const Value& dynamic_weight(const Graph& graph) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == "MatMulInteger" || node.op == "ConvInteger") return graph.value(node.inputs[1]);
  }
  throw std::out_of_range("no dynamic layer");
}

TEST(pair_safe, dynamic_products_are_where_the_target_needs_it_and_convolutions_are_left_alone) {
  const auto dynamic = [](const Graph& graph, const std::string& target, bool pair_safe = true) {
    return quantize(graph, {}, {.fallback = {8, 8}, .layers = {}},
                    {.target = target, .dynamic = true, .pair_safe = pair_safe});
  };
  const auto count = [](const Graph& graph, const Node& node, PairOrder order) {
    const Tensor& codes = dynamic_weight(graph).data;
    return count_unsafe_pairs({node, codes.shape(), order}, unpack_integers(codes), 255).unsafe;
  };
  Graph dense = testing::perceptron();
  for (float& w : dense.value(*dense.find_value("fc1_w")).data.data<float>()) {
    w = std::copysign(0.2F, w);
  }
  const Node product{.op = "MatMul"};
  EXPECT_GT(count(dynamic(dense, "onnxruntime", false), product, PairOrder::flattened), 0);
  EXPECT_EQ(count(dynamic(dense, "onnxruntime"), product, PairOrder::flattened), 0);
  EXPECT_EQ(serialize_onnx(dynamic(dense, "openvino")),
            serialize_onnx(dynamic(dense, "openvino", false)));
  const Graph convs = heavy();
  EXPECT_EQ(serialize_onnx(dynamic(convs, "onnxruntime")),
            serialize_onnx(dynamic(convs, "onnxruntime", false)));
}

}  // namespace
}  // namespace nibble
