// nibble check: each row finds what it is for, and what Nibble writes is clean.
#include "verbs/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>

#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "support/networks.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::Synthetic;

struct Case {
  Graph graph;
  std::string where;  // what the finding must name
  std::string target = "onnxruntime";
};

Value& value(Graph& graph, const std::string& name) { return graph.value(*graph.find_value(name)); }

Graph quantized(const Graph& graph, const QuantizeOptions& options = {}) {
  return quantize(graph, analyze(graph, Synthetic(32, {3, 6, 6})),
                  {.fallback = {8, 8}, .layers = {}}, options);
}

Graph convs() {
  Graph graph = testing::three_convs();
  for (const char* name : {"conv1_w", "conv2_w"}) {
    for (float& w : value(graph, name).data.data<float>()) w = std::copysign(0.2F, w);
  }
  return graph;
}

// One fault each.
std::map<std::string, std::function<Case()>> cases() {
  return {
      {"saturating-pairs",
       [] {
         return Case{quantized(convs(), {.pair_safe = false}), "conv1"};
       }},
      {"weight-axis",
       [] {
         Graph graph = quantized(convs());
         QuantParams& quant = *value(graph, "conv2_w").type.quant;
         quant.axis = 1;
         return Case{graph, "conv2"};
       }},
      {"weight-zero-point",
       [] {
         Graph graph = quantized(convs());
         value(graph, "conv2_w").type.quant->zero_point[1] = 3;
         return Case{graph, "conv2"};
       }},
      {"weight-bits",
       [] {
         const Graph graph = quantize(convs(), analyze(convs(), Synthetic(32, {3, 6, 6})),
                                      {.fallback = {4, 8}, .layers = {}});
         return Case{graph, "conv2", "tensorrt"};
       }},
      {"bias-type",
       [] {
         Graph graph = quantized(convs());
         Value& bias = value(graph, "conv2_b");
         bias.data = dequantize_tensor(bias.data, *bias.type.quant);
         bias.type.quant.reset();
         return Case{graph, "conv2"};
       }},
      {"bias-scale",
       [] {
         Graph graph = quantized(convs());
         value(graph, "conv2_b").type.quant->scale[0] *= 2;
         return Case{graph, "conv2"};
       }},
      {"types",
       [] {
         return Case{quantized(convs()), "", "tensorrt"};
       }},
      {"opset",
       [] {
         Graph graph = quantized(convs());
         graph.opsets[""] = 12;  // scales per channel came with 13
         return Case{graph, "conv1_w"};
       }},
      {"lone-nodes",
       [] {
         NetworkBuilder net({-1, 4});
         const ValueId scale = net.constant("scale", Tensor::of<float>({}, {0.1F}));
         const ValueId other = net.constant("other", Tensor::of<float>({}, {0.2F}));
         const ValueId codes =
             net.add({.op = "QuantizeLinear", .name = "quantize", .inputs = {net.last, scale}});
         net.add({.op = "DequantizeLinear", .name = "dequantize", .inputs = {codes, other}});
         return Case{net.finish(), "quantize"};
       }},
      {"float-layer",
       [] {
         return Case{quantized(convs(), {.skip = {"conv2"}}), "conv2"};
       }},
      {"moved-codes",
       [] {
         NetworkBuilder net({-1, 3, 6, 6});
         net.relu("relu1", net.conv("conv1", net.last, 3, 8));
         Node pool{.op = "MaxPool", .name = "pool", .inputs = {net.last}};
         pool.attributes.set("kernel_shape", std::vector<int64_t>{2, 2});
         net.add(std::move(pool));
         net.conv("conv2", net.last, 8, 4);
         Graph graph = quantized(net.finish());
         value(graph, "pool").type.quant->scale[0] *= 2;
         value(graph, "conv2_b").type.quant->scale.assign(4, 1);
         return Case{graph, "pool"};
       }},
      {"concatenation",
       [] {
         NetworkBuilder net({-1, 3, 6, 6});
         const ValueId x = net.last;
         const ValueId a = net.relu("a", net.conv("conv1", x, 3, 4));
         const ValueId b = net.relu("b", net.conv("conv2", x, 3, 4));
         Node concat{.op = "Concat", .name = "concat", .inputs = {a, b}};
         concat.attributes.set("axis", int64_t{1});
         net.add(std::move(concat));
         net.conv("conv3", net.last, 8, 4);
         Graph graph = quantized(net.finish());
         value(graph, "b").type.quant->scale[0] *= 2;
         return Case{graph, "concat"};
       }},
  };
}

TEST(check, each_row_finds_what_it_is_for_and_names_it) {
  const auto all = cases();
  for (const CheckRow* row : check_rows()) {
    const auto made = all.find(std::string(row->name));
    ASSERT_NE(made, all.end()) << row->name << " has no case";
    const Case one = made->second();
    const std::vector<Finding> findings = check_model(one.graph, find_target(one.target));
    const auto found = std::ranges::find(findings, row->name, &Finding::check);
    ASSERT_NE(found, findings.end()) << row->name;
    EXPECT_EQ(found->where, one.where) << found->sentence;
    EXPECT_NE(found->sentence.find(one.where), std::string::npos) << found->sentence;
    EXPECT_FALSE(found->sentence.ends_with('.')) << found->sentence;
  }
}

TEST(check, finds_nothing_in_what_nibble_writes_for_a_target) {
  for (const Target& target : targets()) {
    const Graph graph = quantized(convs(), {.target = std::string(target.name)});
    const Graph file = parse_onnx(serialize_onnx(graph, target));
    for (const Finding& finding : check_model(file, target)) {
      ADD_FAILURE() << target.name << ": " << finding.sentence;
    }
  }
}

TEST(check, counts_the_pairs_of_a_layer_by_hand) {
  NetworkBuilder net({1, 5});
  QuantParams data{.storage = DType::u8, .qmin = 0, .qmax = 255};
  data.scale = {1};
  data.zero_point = {0};
  net.graph.value(net.last).type.quant = data;
  QuantParams codes{.storage = DType::i8, .qmin = -127, .qmax = 127};
  codes.scale = {1};
  codes.zero_point = {0};
  const Tensor weight = Tensor::of<float>({5, 2}, {100, 1, 29, 2, -127, 3, -2, 4, 127, 5});
  const ValueId w = net.graph.add_constant("w", quantize_tensor(weight, codes), codes);
  net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}});
  const std::vector<Finding> findings = check_model(net.finish(), find_target("onnxruntime"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_TRUE(findings[0].sentence.starts_with(
      "fc: 2 of its 6 pairs of weights that meet (33.3 %) can saturate, the worst with "))
      << findings[0].sentence;
  EXPECT_NE(findings[0].sentence.find("with a sum of 129 where 128 is safe"), std::string::npos);
  EXPECT_TRUE(check_model(net.graph, find_target("native")).empty());
}

TEST(check, of_a_float_model_is_one_finding_and_of_a_dynamic_one_none) {
  const std::vector<Finding> findings = check_model(convs(), default_target());
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].check, "float-layer");
  EXPECT_NE(findings[0].sentence.find("3 could be"), std::string::npos) << findings[0].sentence;
  const Graph dynamic =
      quantize(testing::perceptron(), {}, {.fallback = {8, 8}, .layers = {}}, {.dynamic = true});
  for (const Finding& finding : check_model(dynamic, default_target())) {
    ADD_FAILURE() << finding.sentence;
  }
  const Graph bare = quantize(testing::perceptron(), {}, {.fallback = {8, 8}, .layers = {}},
                              {.dynamic = true, .pair_safe = false});
  EXPECT_FALSE(check_model(bare, default_target()).empty());
}

}  // namespace
}  // namespace nibble
