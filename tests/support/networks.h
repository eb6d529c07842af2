// Small networks for the tests of quantization.
#pragma once

#include <string>
#include <vector>

#include "nibble/graph.h"
#include "support/tensors.h"

namespace nibble::testing {

/// Builds a graph node by node; weights are normal, by seed.
class NetworkBuilder {
 public:
  explicit NetworkBuilder(const Shape& input, uint64_t seed = 1) : random_(seed) {
    graph.opsets[""] = 21;
    graph.inputs = {value("x", input)};
    last = graph.inputs[0];
  }

  ValueId value(const std::string& name, const Shape& shape = Shape::unknown_rank()) {
    return graph.add_value(name, {.dtype = DType::f32, .shape = shape, .quant = {}});
  }
  Tensor normal(const Shape& shape, double deviation, double mean = 0) {
    return random_tensor(shape, random_, deviation, mean);
  }
  ValueId constant(const std::string& name, Tensor data) {
    return graph.add_constant(name, std::move(data));
  }
  /// The result is named as the node.
  ValueId add(Node node) {
    last = value(node.name);
    node.outputs = {last};
    graph.add_node(std::move(node));
    return last;
  }
  ValueId conv(const std::string& name, ValueId data, int64_t in, int64_t out, int64_t kernel = 3) {
    const ValueId w = constant(
        name + "_w", normal({out, in, kernel, kernel}, 1.0 / static_cast<double>(kernel * in)));
    const ValueId b = constant(name + "_b", normal({out}, 0.1));
    Node node{.op = "Conv", .name = name, .inputs = {data, w, b}};
    const int64_t pad = kernel / 2;
    node.attributes.set("pads", std::vector<int64_t>{pad, pad, pad, pad});
    return add(std::move(node));
  }
  ValueId relu(const std::string& name, ValueId data) {
    return add({.op = "Relu", .name = name, .inputs = {data}});
  }
  Graph finish() {
    graph.outputs = {last};
    graph.validate();
    return graph;
  }

  Graph graph;
  ValueId last;

 private:
  Random random_;
};

/// x -> conv1 -> relu1 -> conv2 -> relu2 -> conv3 (the output).
inline Graph three_convs(int64_t channels = 8) {
  NetworkBuilder net({-1, 3, 6, 6});
  net.relu("relu1", net.conv("conv1", net.last, 3, channels));
  net.relu("relu2", net.conv("conv2", net.last, channels, channels));
  net.conv("conv3", net.last, channels, 4, 1);
  return net.finish();
}

/// As a residual network: relu2 = relu(conv2(relu1) + relu1), then conv3.
inline Graph residual() {
  NetworkBuilder net({-1, 3, 6, 6});
  const ValueId shortcut = net.relu("relu1", net.conv("conv1", net.last, 3, 8));
  const ValueId branch = net.conv("conv2", shortcut, 8, 8);
  net.add({.op = "Add", .name = "add", .inputs = {branch, shortcut}});
  net.relu("relu2", net.last);
  net.conv("conv3", net.last, 8, 4, 1);
  return net.finish();
}

/// relu(x W1 + b1) W2 + b2 on rows of `inputs` numbers.
inline Graph perceptron(int64_t inputs = 12, int64_t hidden = 16) {
  NetworkBuilder net({-1, inputs});
  const auto dense = [&](const std::string& name, int64_t in, int64_t out) {
    const ValueId w = net.constant(name + "_w", net.normal({in, out}, 0.3));
    const ValueId b = net.constant(name + "_b", net.normal({out}, 0.1));
    return net.add({.op = "Gemm", .name = name, .inputs = {net.last, w, b}});
  };
  net.relu("relu1", dense("fc1", inputs, hidden));
  dense("fc2", hidden, 4);
  return net.finish();
}

}  // namespace nibble::testing
