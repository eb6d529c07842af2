// Inputs that a model can be measured with.
#include "report/random_inputs.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace nibble {
namespace {

struct Picks {
  Graph graph;
  ValueId ids;

  explicit Picks(DType dtype = DType::i64) {
    ids = graph.add_value("ids", {.dtype = dtype, .shape = {-1, -1}});
    graph.inputs = {ids};
  }
  ValueId node(const std::string& op, std::vector<ValueId> inputs, DType dtype) {
    const ValueId result = graph.add_value(graph.unique_value_name(op), {.dtype = dtype});
    graph.add_node({.op = op, .name = op, .inputs = std::move(inputs), .outputs = {result}});
    return result;
  }
  ValueId table(int64_t rows) {
    return graph.add_constant(graph.unique_value_name("table"), Tensor(DType::f32, {rows, 4}));
  }
};

std::pair<int64_t, int64_t> extremes(const Tensor& tensor) {
  const Tensor wide = convert(tensor, DType::i64);
  const auto values = wide.data<int64_t>();
  const auto [least, most] = std::ranges::minmax_element(values);
  return {*least, *most};
}

TEST(RandomInput, ids_stay_within_the_smallest_table_that_they_pick_from) {
  Picks model;
  model.node("Gather", {model.table(50), model.ids}, DType::f32);
  const ValueId moved = model.node("Unsqueeze", {model.ids}, DType::i64);
  model.node("Gather", {model.table(20), moved}, DType::f32);
  EXPECT_EQ(index_limit(model.graph, model.ids), 20);
  const Tensor ids = random_input(model.graph, model.ids, {10, 100}, 1);
  EXPECT_EQ(ids.dtype(), DType::i64);
  EXPECT_EQ(extremes(ids), std::pair(int64_t{0}, int64_t{19}));
}

TEST(RandomInput, an_index_that_is_computed_is_zero) {
  Picks model;
  const ValueId sum = model.node("Add", {model.ids, model.ids}, DType::i64);
  model.node("Gather", {model.table(50), sum}, DType::f32);
  EXPECT_EQ(index_limit(model.graph, model.ids), 1);
  Picks computed;
  const ValueId data = computed.graph.add_value("data", {.dtype = DType::f32});
  computed.node("Gather", {data, computed.ids}, DType::f32);
  EXPECT_EQ(extremes(random_input(computed.graph, computed.ids, {10, 10}, 1)),
            std::pair(int64_t{0}, int64_t{0}));
}

TEST(RandomInput, a_mask_is_zeros_and_ones_and_bytes_are_bytes) {
  Picks mask;
  mask.node("Mul", {mask.ids, mask.table(3)}, DType::f32);
  EXPECT_EQ(index_limit(mask.graph, mask.ids), std::nullopt);
  EXPECT_EQ(extremes(random_input(mask.graph, mask.ids, {10, 10}, 1)),
            std::pair(int64_t{0}, int64_t{1}));
  const Picks bytes(DType::u8);
  const auto [least, most] = extremes(random_input(bytes.graph, bytes.ids, {100, 100}, 1));
  EXPECT_EQ(least, 0);
  EXPECT_EQ(most, 255);
}

}  // namespace
}  // namespace nibble
