// Where the channels of a value lie, by how it is read.
#include "ranges/channel_axis.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

struct Net {
  Net() { graph.opsets[""] = 21; }
  ValueId value(const std::string& name, const Shape& shape = Shape::unknown_rank()) {
    return graph.add_value(name, {.dtype = DType::f32, .shape = shape});
  }
  ValueId add(Node node) {
    const ValueId output = value(node.op + std::to_string(graph.value_count()));
    node.name = graph.value(output).name;
    node.outputs = {output};
    graph.add_node(std::move(node));
    return output;
  }
  ValueId weight(const Shape& shape) {
    return graph.add_constant("w" + std::to_string(graph.value_count()), Tensor(DType::f32, shape));
  }
  ValueId transpose(ValueId x, std::vector<int64_t> perm) {
    Node node{.op = "Transpose", .inputs = {x}};
    node.attributes.set("perm", std::move(perm));
    return add(std::move(node));
  }
  Graph graph;
};

TEST(channel_axis, is_1_before_a_convolution_and_the_last_before_a_matrix_product) {
  Net net;
  const ValueId image = net.value("image"), tokens = net.value("tokens");
  net.add({.op = "Conv", .inputs = {image, net.weight({4, 3, 1, 1})}});
  net.add({.op = "MatMul", .inputs = {tokens, net.weight({8, 8})}});
  const ChannelAxes axes(net.graph);
  EXPECT_EQ(axes.of(image, 4), 1);
  EXPECT_EQ(axes.of(tokens, 3), 2);
}

TEST(channel_axis, is_seen_through_transposes_and_elementwise_operators) {
  Net net;
  const ValueId pixels = net.value("pixels");  // [N,H,W,C]
  const ValueId planes = net.transpose(pixels, {0, 3, 1, 2});
  const ValueId active = net.add({.op = "Relu", .inputs = {planes}});
  net.add({.op = "Conv", .inputs = {active, net.weight({4, 3, 1, 1})}});
  const ChannelAxes axes(net.graph);
  EXPECT_EQ(axes.of(pixels, 4), 3);
  EXPECT_EQ(axes.of(planes, 4), 1);
}

TEST(channel_axis, is_the_producers_where_no_reader_says_it) {
  Net net;
  const ValueId tokens = net.value("tokens");
  const ValueId product = net.add({.op = "MatMul", .inputs = {tokens, net.weight({8, 8})}});
  const ValueId result = net.add({.op = "Relu", .inputs = {product}});
  const ChannelAxes axes(net.graph);
  EXPECT_EQ(axes.of(result, 3), 2);
  EXPECT_EQ(axes.of(net.value("alone"), 3), -1);
}

}  // namespace
}  // namespace nibble
