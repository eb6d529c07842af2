// Layers as products of matrices: rows of data times the weight are what the operator gives.
#include "ops/support/layer_matrix.h"

#include <gtest/gtest.h>

#include <numeric>

#include "ops/roles.h"
#include "passes/evaluate.h"
#include "support/tensors.h"

namespace nibble {
namespace {

using Ints = std::vector<int64_t>;

// What the matrices give, at [group][row, output].
std::vector<std::vector<double>> products(const LayerMatrix& layer, const Tensor& data,
                                          const Tensor& weight) {
  std::vector<int64_t> rows(static_cast<size_t>(layer.rows(data.shape())));
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<std::vector<double>> results;
  for (int64_t group = 0; group < layer.groups(); ++group) {
    std::vector<float> gathered(rows.size() * static_cast<size_t>(layer.depth()));
    layer.gather(data, group, rows, gathered.data());
    auto& result = results.emplace_back();
    for (size_t row = 0; row < rows.size(); ++row) {
      for (int64_t o = 0; o < layer.outputs(); ++o) {
        double sum = 0;
        for (int64_t k = 0; k < layer.depth(); ++k) {
          const auto element = static_cast<size_t>(layer.element(group, o, k));
          sum +=
              double{gathered[row * static_cast<size_t>(layer.depth()) + static_cast<size_t>(k)]} *
              double{weight.data<float>()[element]};
        }
        result.push_back(sum);
      }
    }
  }
  return results;
}

Tensor evaluate(const Node& node, const Tensor& data, const Tensor& weight) {
  return (*evaluate_node(node, 21, std::vector{data, weight}))[0];
}

Node node_of(const char* op, std::vector<std::pair<std::string, Attribute>> attributes) {
  Node node{.op = op, .name = "layer"};
  for (auto& [name, value] : attributes) node.attributes.set(name, std::move(value));
  node.inputs = {{0}, {1}};
  node.outputs = {{2}};
  return node;
}

// Rows of a convolution's result [N, C, places] are [n, place], its outputs [group, channel].
void expect_patches(const Node& node, const Shape& data_shape, const Shape& weight_shape) {
  const Tensor data = testing::random_tensor(data_shape, 1),
               weight = testing::random_tensor(weight_shape, 2);
  const auto layer = layer_matrix(node, weight_shape);
  ASSERT_NE(layer, nullptr);
  const Tensor out = evaluate(node, data, weight);
  const int64_t places = out.shape().elements(2, out.shape().rank());
  ASSERT_EQ(layer->rows(data_shape), out.shape()[0] * places);
  ASSERT_EQ(layer->groups() * layer->outputs(), out.shape()[1]);
  const auto results = products(*layer, data, weight);
  for (int64_t i = 0; i < out.elements(); ++i) {
    const int64_t place = i % places, channel = i / places % out.shape()[1];
    const int64_t row = i / places / out.shape()[1] * places + place;
    const int64_t group = channel / layer->outputs(), output = channel % layer->outputs();
    EXPECT_NEAR(
        results[static_cast<size_t>(group)][static_cast<size_t>(row * layer->outputs() + output)],
        out.data<float>()[static_cast<size_t>(i)], 1e-4);
  }
}

TEST(layer_matrix, conv_is_patches_times_weight) {
  expect_patches(node_of("Conv", {}), {2, 3, 5, 6}, {4, 3, 3, 2});
  expect_patches(node_of("Conv", {{"pads", Ints{1, 2, 0, 1}}, {"strides", Ints{2, 1}}}),
                 {2, 3, 5, 6}, {4, 3, 3, 3});
  expect_patches(node_of("Conv", {{"dilations", Ints{2, 3}}, {"pads", Ints{2, 3, 2, 3}}}),
                 {1, 2, 6, 7}, {3, 2, 3, 3});
  expect_patches(node_of("Conv", {{"auto_pad", std::string("SAME_UPPER")}}), {1, 2, 4, 5},
                 {3, 2, 2, 3});
}

TEST(layer_matrix, groups_of_a_conv_have_matrices_of_their_own) {
  expect_patches(node_of("Conv", {{"group", int64_t{2}}, {"pads", Ints{1, 1, 1, 1}}}), {2, 4, 4, 3},
                 {6, 2, 3, 3});
  expect_patches(node_of("Conv", {{"group", int64_t{5}}}), {2, 5, 4, 4}, {5, 1, 3, 3});
}

TEST(layer_matrix, conv_of_one_and_of_three_axes) {
  expect_patches(node_of("Conv", {{"pads", Ints{2, 1}}, {"strides", Ints{3}}}), {2, 3, 11},
                 {4, 3, 4});
  expect_patches(node_of("Conv", {{"strides", Ints{1, 2, 1}}}), {1, 2, 4, 5, 3}, {3, 2, 2, 3, 1});
}

TEST(layer_matrix, conv_transpose_is_patches_times_weight) {
  expect_patches(node_of("ConvTranspose", {}), {2, 3, 4, 5}, {3, 4, 3, 2});
  expect_patches(node_of("ConvTranspose", {{"strides", Ints{2, 3}},
                                           {"pads", Ints{1, 0, 1, 2}},
                                           {"output_padding", Ints{1, 2}}}),
                 {2, 3, 4, 5}, {3, 2, 3, 4});
  expect_patches(node_of("ConvTranspose", {{"group", int64_t{2}}, {"dilations", Ints{2}}}),
                 {2, 4, 5}, {4, 3, 3});
}

void expect_rows(const Node& node, const Shape& data_shape, const Shape& weight_shape) {
  const Tensor data = testing::random_tensor(data_shape, 1),
               weight = testing::random_tensor(weight_shape, 2);
  const auto layer = layer_matrix(node, weight_shape);
  ASSERT_NE(layer, nullptr);
  const Tensor out = evaluate(node, data, weight);
  const auto results = products(*layer, data, weight);
  ASSERT_EQ(layer->rows(data_shape) * layer->groups() * layer->outputs(), out.elements());
  // Matrices of the weight take turns with those of the data.
  const int64_t rows = data_shape.rank() == 1 ? 1 : data_shape[data_shape.rank() - 2];
  for (int64_t i = 0; i < out.elements(); ++i) {
    const int64_t output = i % layer->outputs(), row = i / layer->outputs();
    const int64_t matrix = row / rows, group = matrix % layer->groups();
    const int64_t row_of_group = matrix / layer->groups() * rows + row % rows;
    EXPECT_NEAR(results[static_cast<size_t>(group)]
                       [static_cast<size_t>(row_of_group * layer->outputs() + output)],
                out.data<float>()[static_cast<size_t>(i)], 1e-4);
  }
}

TEST(layer_matrix, gemm_and_matmul_are_rows_times_weight) {
  expect_rows(node_of("Gemm", {}), {5, 4}, {4, 3});
  expect_rows(node_of("Gemm", {{"transB", int64_t{1}}}), {5, 4}, {3, 4});
  expect_rows(node_of("MatMul", {}), {5, 4}, {4, 3});
  expect_rows(node_of("MatMul", {}), {2, 5, 4}, {4, 3});
  expect_rows(node_of("MatMul", {}), {4}, {4, 3});
}

TEST(layer_matrix, matrices_of_a_batched_weight_are_groups) {
  expect_rows(node_of("MatMul", {}), {3, 5, 4}, {3, 4, 2});
  expect_rows(node_of("MatMul", {}), {2, 3, 5, 4}, {3, 4, 2});
  expect_rows(node_of("MatMul", {}), {5, 4}, {1, 4, 2});
}

TEST(layer_matrix, a_conv_whose_data_say_where_to_look_is_none) {
  const Node node = node_of("DeformConv", {});
  EXPECT_EQ(layer_matrix(node, {4, 3, 3, 3}), nullptr);
}

}  // namespace
}  // namespace nibble
