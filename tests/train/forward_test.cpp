// What libtorch computes for a graph against what the runtime computes.
#include <cmath>
#include <functional>

#include "nibble/error.h"
#include "nibble/runtime.h"
#include "ops/op.h"
#include "passes/pass.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

using Setup = std::function<void(Graph&, Node&)>;

/// One node of one f32 input "x", to which `setup` adds attributes and constants.
struct Case {
  std::string label;
  std::string op;
  Shape input;
  Setup setup = [](Graph&, Node&) {};
  int opset = 17;
};

Graph single_node(const Case& c) {
  Graph graph;
  graph.opsets[""] = c.opset;
  const ValueId x = graph.add_value("x", {.dtype = DType::f32, .shape = c.input, .quant = {}});
  const ValueId y = graph.add_value("y", {.dtype = DType::f32, .quant = {}});
  graph.inputs = {x};
  graph.outputs = {y};
  // A trainable node in front, so that there is something to train.
  const ValueId scaled = graph.add_value("scaled", {.dtype = DType::f32, .quant = {}});
  const ValueId slope = graph.add_constant("slope", Tensor::scalar(0.75F).reshaped({1}));
  graph.add_node({.op = "PRelu", .name = "front", .inputs = {x, slope}, .outputs = {scaled}});
  Node node{.op = c.op, .name = "node", .inputs = {scaled}, .outputs = {y}};
  c.setup(graph, node);
  graph.add_node(node);
  infer_types(graph);
  return graph;
}

Setup ints(std::string name, std::vector<int64_t> values) {
  return [=](Graph&, Node& node) { node.attributes.set(name, values); };
}
Setup integer(std::string name, int64_t value) {
  return [=](Graph&, Node& node) { node.attributes.set(name, value); };
}
Setup real(std::string name, float value) {
  return [=](Graph&, Node& node) { node.attributes.set(name, value); };
}
Setup text(std::string name, std::string value) {
  return [=](Graph&, Node& node) { node.attributes.set(name, value); };
}
/// A further input of random reals, positive where `positive`.
Setup random_input(Shape shape, bool positive = false) {
  return [=](Graph& graph, Node& node) {
    Tensor values = testing::random_tensor(shape, 11 + node.inputs.size());
    for (float& v : values.data<float>()) v = positive ? std::abs(v) + 0.1F : v;
    node.inputs.push_back(graph.add_constant("c" + std::to_string(node.inputs.size()), values));
  };
}
Setup integer_input(std::vector<int64_t> values) {
  return [=](Graph& graph, Node& node) {
    const Shape shape{static_cast<int64_t>(values.size())};
    node.inputs.push_back(graph.add_constant("c" + std::to_string(node.inputs.size()),
                                             Tensor::of<int64_t>(shape, std::span(values))));
  };
}
Setup no_input() {
  return [](Graph&, Node& node) { node.inputs.push_back({}); };
}
Setup operator+(Setup a, Setup b) {
  return [=](Graph& graph, Node& node) {
    a(graph, node);
    b(graph, node);
  };
}

std::vector<Case> cases() {
  const Shape image{2, 4, 7, 9};
  const Setup kernel3 = ints("kernel_shape", {3, 3});
  const Setup uneven = ints("pads", {0, 1, 2, 1}) + ints("strides", {2, 1});
  const Setup positive =
      random_input({4}, true) + random_input({4}) + random_input({4}) + random_input({4}, true);
  std::vector<Case> list = {
      {"conv, uneven pads", "Conv", image, random_input({6, 4, 3, 3}) + random_input({6}) + uneven},
      {"conv, groups", "Conv", image, random_input({8, 2, 3, 3}) + integer("group", 2)},
      {"conv, SAME_UPPER", "Conv", image,
       random_input({5, 4, 2, 4}) + text("auto_pad", "SAME_UPPER") + ints("strides", {2, 2})},
      {"conv, SAME_LOWER", "Conv", image,
       random_input({5, 4, 2, 4}) + text("auto_pad", "SAME_LOWER") + ints("strides", {2, 2})},
      {"conv, dilated", "Conv", image, random_input({5, 4, 3, 3}) + ints("dilations", {2, 3})},
      {"conv, one axis", "Conv", {2, 4, 9}, random_input({6, 4, 3}) + ints("pads", {1, 1})},
      {"transposed conv", "ConvTranspose", image,
       random_input({4, 3, 3, 3}) + random_input({3}) + ints("strides", {2, 2}) +
           ints("pads", {1, 0, 0, 1}) + ints("output_padding", {1, 0})},
      {"gemm", "Gemm", {3, 5}, random_input({4, 5}) + random_input({4}) + integer("transB", 1)},
      {"gemm, alpha and beta",
       "Gemm",
       {5, 3},
       random_input({5, 4}) + random_input({3, 4}) + integer("transA", 1) + real("alpha", 0.5F) +
           real("beta", 2)},
      {"matmul", "MatMul", {2, 3, 5}, random_input({5, 4})},
      {"batch normalization", "BatchNormalization", image, positive},
      {"layer normalization",
       "LayerNormalization",
       {2, 3, 5},
       random_input({5}) + random_input({5})},
      {"instance normalization", "InstanceNormalization", image,
       random_input({4}) + random_input({4})},
      {"group normalization", "GroupNormalization", image,
       random_input({4}) + random_input({4}) + integer("num_groups", 2), 21},
      {"max pool, uneven", "MaxPool", image, kernel3 + uneven},
      {"max pool, ceil", "MaxPool", image,
       kernel3 + integer("ceil_mode", 1) + ints("strides", {2, 2})},
      {"average pool, uneven", "AveragePool", image, kernel3 + uneven},
      {"average pool, pads counted", "AveragePool", image,
       kernel3 + uneven + integer("count_include_pad", 1)},
      {"global average", "GlobalAveragePool", image},
      {"global maximum", "GlobalMaxPool", image},
      {"softmax", "Softmax", {3, 5}},
      {"softmax of a flattened tensor", "Softmax", {3, 5, 2}, integer("axis", 1), 11},
      {"log softmax", "LogSoftmax", {3, 5}},
      {"clip", "Clip", image,
       [](Graph& graph, Node& node) {
         node.inputs.push_back(graph.add_constant("low", Tensor::scalar(-0.5F)));
         node.inputs.push_back(graph.add_constant("high", Tensor::scalar(0.7F)));
       }},
      {"clip by attributes", "Clip", image, real("min", -0.5F) + real("max", 1), 7},
      {"gelu", "Gelu", image, text("approximate", "tanh"), 20},
      {"hard sigmoid", "HardSigmoid", image, real("alpha", 0.3F) + real("beta", 0.4F)},
      {"leaky relu", "LeakyRelu", image, real("alpha", 0.2F)},
      {"elu", "Elu", image, real("alpha", 1.5F)},
      {"add, broadcast", "Add", image, random_input({4, 1, 1})},
      {"div", "Div", image, random_input({9}, true)},
      {"max", "Max", image, random_input({9})},
      {"mean of two", "Mean", image, random_input({9})},
      {"reduce mean, axes as attribute", "ReduceMean", image,
       ints("axes", {2, 3}) + integer("keepdims", 0)},
      {"reduce sum, axes as input", "ReduceSum", image, integer_input({-1})},
      {"reduce max", "ReduceMax", image, ints("axes", {1})},
      {"concat", "Concat", image, random_input({2, 3, 7, 9}) + integer("axis", -3)},
      {"depth to space", "DepthToSpace", image, integer("blocksize", 2)},
      {"depth to space, CRD", "DepthToSpace", image, integer("blocksize", 2) + text("mode", "CRD")},
      {"expand", "Expand", {2, 1, 3}, integer_input({2, 4, 1})},
      {"flatten", "Flatten", image, integer("axis", 2)},
      {"gather", "Gather", image, integer_input({3, 0, -1}) + integer("axis", 1)},
      {"lstm, both directions",
       "LSTM",
       {3, 2, 5},
       random_input({2, 16, 5}) + random_input({2, 16, 4}) + random_input({2, 32}) + no_input() +
           random_input({2, 2, 4}) + random_input({2, 2, 4}) + random_input({2, 12}) +
           integer("hidden_size", 4) + text("direction", "bidirectional")},
      {"lstm, reverse, clipped",
       "LSTM",
       {3, 2, 5},
       random_input({1, 16, 5}) + random_input({1, 16, 4}) + integer("hidden_size", 4) +
           text("direction", "reverse") + real("clip", 0.5F)},
      {"gru, reset before",
       "GRU",
       {3, 2, 5},
       random_input({1, 12, 5}) + random_input({1, 12, 4}) + random_input({1, 24}) +
           integer("hidden_size", 4)},
      {"gru, reset behind, batch first",
       "GRU",
       {2, 3, 5},
       random_input({1, 12, 5}) + random_input({1, 12, 4}) + random_input({1, 24}) +
           integer("hidden_size", 4) + integer("linear_before_reset", 1) + integer("layout", 1)},
      {"rnn",
       "RNN",
       {3, 2, 5},
       random_input({1, 4, 5}) + random_input({1, 4, 4}) + random_input({1, 8}) +
           integer("hidden_size", 4)},
      {"pad, reflected", "Pad", image,
       integer_input({0, 0, 2, 3, 0, 1, 1, 4}) + text("mode", "reflect")},
      {"pad, the edge repeated", "Pad", image,
       integer_input({0, 0, 2, 3, 0, 1, 1, 4}) + text("mode", "edge")},
      {"pad, around", "Pad", image, integer_input({0, 0, 2, 3, 0, 1, 1, 4}) + text("mode", "wrap"),
       19},
      {"pad of some axes", "Pad", image,
       integer_input({1, 2, 0, 3}) + no_input() + integer_input({-1, 1}), 18},
      {"pad", "Pad", image, integer_input({0, 0, 1, 2, 0, 1, 0, 3})},
      {"reshape", "Reshape", image, integer_input({0, -1, 9})},
      {"resize, nearest", "Resize", image,
       no_input() + no_input() + integer_input({2, 4, 11, 18}) + text("mode", "nearest")},
      {"resize, linear", "Resize", image,
       no_input() + no_input() + integer_input({2, 4, 11, 18}) + text("mode", "linear")},
      {"slice", "Slice", image,
       integer_input({1, -5}) + integer_input({3, 1000}) + integer_input({1, 3}) +
           integer_input({1, 2})},
      {"squeeze", "Squeeze", {2, 1, 3, 1}, integer_input({-1, 1})},
      {"tile", "Tile", {2, 3}, integer_input({2, 2})},
      {"transpose", "Transpose", image, ints("perm", {0, 2, 3, 1})},
      {"transpose, reversed", "Transpose", {2, 3, 4}},
      {"unsqueeze", "Unsqueeze", {2, 3}, integer_input({0, -1})},
  };
  for (const char* op : {"Abs", "Erf", "Exp", "HardSwish", "Mish", "Neg", "Relu", "Selu", "Sigmoid",
                         "Softplus", "Softsign", "Tanh", "Sin", "Cos", "Identity"}) {
    list.push_back({op, op, image, [](Graph&, Node&) {}, 18});
  }
  return list;
}

TEST(Forward, every_operator_computes_what_the_runtime_computes) {
  NIBBLE_NEEDS_TRAINING();
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.label);
    ASSERT_NE(find_op(c.op, ""), nullptr);
    try {
      const Graph graph = single_node(c);
      const Tensor x = testing::random_tensor(c.input, 5);
      const Tensor torch = train_backend().forward(graph, std::span(&x, 1))[0];
      Program program = compile(graph, {.arithmetic = Arithmetic::f32});
      const Tensor expected = program.run(std::span(&x, 1))[0];
      ASSERT_EQ(torch.shape(), expected.shape());
      EXPECT_LT(testing::max_error(torch, expected), 1e-5);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(Forward, every_architecture_computes_what_the_runtime_computes) {
  NIBBLE_NEEDS_TRAINING();
  for (const ArchitectureRow& row : architectures()) {
    SCOPED_TRACE(row.name);
    const Graph graph =
        build_architecture(row.name, row.sample_shape, row.name == "catdog-cnn" ? 2 : 10, 1);
    Shape shape{2};
    for (int64_t extent : row.sample_shape) shape.push_back(extent);
    const Tensor x = testing::random_tensor(shape, 3);
    const Tensor torch = train_backend().forward(graph, std::span(&x, 1))[0];
    Program program =
        compile(graph, {.arithmetic = Arithmetic::f32, .input_shapes = {{"input", shape}}});
    const Tensor expected = program.run(std::span(&x, 1))[0];
    ASSERT_EQ(torch.shape(), expected.shape());
    EXPECT_LT(testing::max_error(torch, expected), 1e-4);
  }
}

}  // namespace
}  // namespace nibble
