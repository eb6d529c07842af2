// Networks that keep the samples of a batch apart, and such that do not.
#include "ranges/batching.h"

#include <gtest/gtest.h>

#include "nibble/ranges.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::Synthetic;

// x: [N,6,4], and what becomes of it.
struct Net {
  Net() {
    graph.opsets[""] = 21;
    graph.inputs = {value("x", {-1, 6, 4})};
  }
  ValueId value(const std::string& name, const Shape& shape = Shape::unknown_rank()) {
    return graph.add_value(name, {.dtype = DType::f32, .shape = shape, .quant = {}});
  }
  ValueId add(Node node) {
    const ValueId output = value(node.name);
    node.outputs = {output};
    graph.outputs = {output};
    graph.add_node(std::move(node));
    return output;
  }
  ValueId integers(const std::string& name, std::initializer_list<int64_t> values) {
    return graph.add_constant(name,
                              Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }
  ValueId mean(ValueId data, int64_t axis) {
    const ValueId axes = integers("axes", {axis});
    return add({.op = "ReduceMean", .name = "mean", .inputs = {data, axes}});
  }
  ValueId x() const { return graph.inputs[0]; }
  Graph graph;
};

BatchProbe probe(const Graph& graph) {
  const Synthetic data(2, {6, 4});
  return probe_batch(graph, read_batch(data, 0, 2, 1), 1);
}

Graph reshaped_to_one() {
  Net net;
  const ValueId one = net.add(
      {.op = "Reshape", .name = "one", .inputs = {net.x(), net.integers("to", {1, 6, 2, -1})}});
  net.mean(one, -1);
  return net.graph;
}

// [N,6,4] -> [6,N,4], as recurrent networks like it.
Graph sequence_first() {
  Net net;
  Node turn{.op = "Transpose", .name = "turned", .inputs = {net.x()}};
  turn.attributes.set("perm", std::vector<int64_t>{1, 0, 2});
  const ValueId turned = net.add(std::move(turn));
  net.add({.op = "Relu", .name = "relu", .inputs = {turned}});
  return net.graph;
}

TEST(batching, a_network_that_works_on_each_sample_keeps_them_apart) {
  Net net;
  net.mean(net.x(), 1);
  const BatchProbe result = probe(net.graph);
  EXPECT_TRUE(result.keeps_apart) << result.reason;
  for (const auto& [id, axis] : result.batch_axis) EXPECT_EQ(axis, 0);
  EXPECT_EQ(result.batch_axis.size(), 2U);
}

TEST(batching, samples_may_lie_along_another_axis) {
  const Graph graph = sequence_first();
  const BatchProbe result = probe(graph);
  EXPECT_TRUE(result.keeps_apart) << result.reason;
  EXPECT_EQ(result.batch_axis.at(graph.inputs[0]), 0);
  EXPECT_EQ(result.batch_axis.at(graph.outputs[0]), 1);
}

TEST(batching, a_reshape_to_one_sample_mixes_them) {
  const BatchProbe result = probe(reshaped_to_one());
  EXPECT_FALSE(result.keeps_apart);
  EXPECT_EQ(result.reason, "output 'mean' is [1,6,2,1] for one sample and [1,6,2,1] for two");
}

TEST(batching, a_result_that_depends_on_the_other_samples_is_seen_by_its_values) {
  Net net;
  const ValueId mean = net.mean(net.x(), 0);
  net.add({.op = "Sub", .name = "centred", .inputs = {net.x(), mean}});
  const BatchProbe result = probe(net.graph);
  EXPECT_FALSE(result.keeps_apart);
  EXPECT_NE(result.reason.find("changes with the other samples"), std::string::npos);
}

TEST(batching, a_network_that_fails_on_two_samples_takes_one) {
  Net net;
  const ValueId state = net.graph.add_constant("state", Tensor(DType::f32, {1, 6, 4}));
  Node concat{.op = "Concat", .name = "joined", .inputs = {net.x(), state}};
  concat.attributes.set("axis", int64_t{2});
  net.add(std::move(concat));
  const BatchProbe result = probe(net.graph);
  EXPECT_FALSE(result.keeps_apart);
  EXPECT_NE(result.reason.find("fails for two"), std::string::npos);
}

TEST(batching, an_output_that_no_sample_changes_mixes_nothing) {
  Net net;
  const ValueId mean = net.mean(net.x(), 1);
  const ValueId zero = net.graph.add_constant("zero", Tensor(DType::f32, {1}));
  net.add({.op = "Mul", .name = "nothing", .inputs = {zero, zero}});
  net.graph.outputs.push_back(mean);
  EXPECT_TRUE(probe(net.graph).keeps_apart);
}

TEST(analyze, a_network_that_would_mix_samples_gets_one_at_a_time) {
  Graph open = reshaped_to_one();
  Graph fixed = open;
  fixed.value(fixed.inputs[0]).type.shape = {1, 6, 4};
  const Synthetic data(40, {6, 4});
  const RangeReport report = analyze(open, data), want = analyze(fixed, data);
  EXPECT_EQ(report.samples, 40);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_NE(report.notes[0].find("one sample at a time"), std::string::npos);
  EXPECT_TRUE(want.notes.empty());
  ASSERT_EQ(report.tensors.size(), want.tensors.size());
  for (size_t i = 0; i < want.tensors.size(); ++i) {
    EXPECT_EQ(report.tensors[i].histogram, want.tensors[i].histogram) << want.tensors[i].name;
  }
}

TEST(analyze, samples_along_another_axis_are_no_channels) {
  const Synthetic data(33, {6, 4});  // no multiple of the batch
  const RangeReport report = analyze(sequence_first(), data);
  EXPECT_EQ(report.samples, 33);
  EXPECT_TRUE(report.notes.empty());
  EXPECT_EQ(report.find("x")->channels.size(), 6U);
  EXPECT_EQ(report.find("relu")->channels.size(), 1U);
  EXPECT_EQ(report.find("relu")->total.count, 33 * 6 * 4);
}

}  // namespace
}  // namespace nibble
