#include "quant/shared_constants.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "ops/roles.h"

namespace nibble {
namespace {

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

bool is_sharable(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  return value.is_constant() && value.type.quant && value.data.bytes() > 0 &&
         !graph.is_output(id) && !graph.is_input(id);
}

int share_equal(Graph& graph) {
  int shared = 0;
  std::map<size_t, std::vector<ValueId>> kept;  // by size
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (!is_sharable(graph, {i}) || graph.consumers({i}).empty()) continue;
    const Value& value = graph.value({i});
    std::vector<ValueId>& others = kept[value.data.bytes()];
    const auto same = std::ranges::find_if(others, [&](ValueId other) {
      return graph.value(other).type == value.type &&
             same_bytes(graph.value(other).data, value.data);
    });
    if (same == others.end()) {
      others.push_back({i});
      continue;
    }
    graph.replace_uses({i}, *same);
    ++shared;
  }
  return shared;
}

// The constant with its two axes exchanged.
struct Turned {
  std::vector<int32_t> codes;
  QuantParams quant;
};

std::optional<Turned> turned(const Value& table) {
  const Shape& shape = table.data.shape();
  QuantParams quant = *table.type.quant;
  if (shape.rank() != 2 || quant.granularity == Granularity::per_block) return std::nullopt;
  if (quant.granularity == Granularity::per_channel) quant.axis = 1 - quant.axis;
  const std::vector<int32_t> codes = unpack_integers(table.data);
  Turned result{std::vector<int32_t>(codes.size()), std::move(quant)};
  for (int64_t row = 0; row < shape[0]; ++row) {
    for (int64_t column = 0; column < shape[1]; ++column) {
      result.codes[static_cast<size_t>(column * shape[0] + row)] =
          codes[static_cast<size_t>(row * shape[1] + column)];
    }
  }
  return result;
}

bool is_table(const Graph& graph, ValueId id) {
  const std::vector<NodeId> readers = graph.consumers(id);
  return std::ranges::any_of(readers, [&](NodeId reader) {
    const Node& node = graph.node(reader);
    return stores_weight(node) && weight_of(node) == id;
  });
}

int tie_to_tables(Graph& graph) {
  int tied = 0;
  for (int32_t t = 0; t < graph.value_count(); ++t) {
    if (!is_sharable(graph, {t}) || !is_table(graph, {t})) continue;
    const Shape shape = graph.value({t}).data.shape();
    if (shape.rank() != 2) continue;
    const auto turned_table = turned(graph.value({t}));
    if (!turned_table) continue;
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      const Value& value = graph.value({i});
      if (i == t || !is_sharable(graph, {i}) || graph.consumers({i}).empty()) continue;
      if (!(value.data.shape() == Shape{shape[1], shape[0]})) continue;
      if (value.type.quant != turned_table->quant ||
          unpack_integers(value.data) != turned_table->codes) {
        continue;
      }
      const NodeId first = graph.consumers({i}).front();
      const ValueId result = graph.add_value(graph.unique_value_name(value.name + "_tied"),
                                             {.dtype = DType::f32, .shape = value.type.shape});
      graph.replace_uses({i}, result);
      Node node{.op = "Transpose",
                .name = graph.unique_node_name(graph.value(result).name),
                .inputs = {ValueId{t}},
                .outputs = {result}};
      node.attributes.set("perm", std::vector<int64_t>{1, 0});
      graph.insert_node(first, std::move(node));
      ++tied;
    }
  }
  return tied;
}

}  // namespace

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  Tensor result(DType::f32, {columns, rows});
  const std::span<const float> in = matrix.data<float>();
  const std::span<float> out = result.data<float>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      out[static_cast<size_t>(c * rows + r)] = in[static_cast<size_t>(r * columns + c)];
    }
  }
  return result;
}

int share_constants(Graph& graph) { return share_equal(graph) + tie_to_tables(graph); }

}  // namespace nibble
