#include "report/random_inputs.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/random.h"

namespace nibble {
namespace {

// Their results hold what their first input holds, or some of it.
constexpr std::array<std::string_view, 8> kMoving = {
    "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Slice", "Expand"};

bool gives_reals(const Graph& graph, const Node& node) {
  if (node.op == "Cast") {
    constexpr std::array<int64_t, 4> kReals = {1, 10, 11, 16};  // f32, f16, f64, bf16 in ONNX
    return std::ranges::find(kReals, node.attributes.integer("to", 0)) != kReals.end();
  }
  return node.outputs.empty() || !node.outputs[0] ||
         is_float(graph.value(node.outputs[0]).type.dtype);
}

// How many rows an operator picks from, if its input at `position` holds their numbers.
std::optional<int64_t> rows_picked_from(const Graph& graph, const Node& node, size_t position) {
  const bool picks = node.op == "Gather" || node.op == "GatherElements" || node.op == "GatherND" ||
                     node.op == "ScatterElements" || node.op == "ScatterND" || node.op == "OneHot";
  if (!picks || position != (node.op == "OneHot" ? 0U : 1U)) return std::nullopt;
  if (node.op != "Gather" && node.op != "GatherElements") return 1;
  const Shape& shape = graph.value(node.inputs[0]).type.shape;
  if (!shape.has_rank() || shape.rank() == 0) return 1;
  int64_t axis = node.attributes.integer("axis", 0);
  if (axis < 0) axis += shape.rank();
  if (axis < 0 || axis >= shape.rank()) return 1;
  return std::max<int64_t>(shape[static_cast<int>(axis)], 1);
}

}  // namespace

std::optional<int64_t> index_limit(const Graph& graph, ValueId input) {
  std::optional<int64_t> limit;
  const auto at_most = [&](int64_t rows) { limit = std::min(limit.value_or(rows), rows); };
  // Values made of the input, and whether they hold nothing but what it holds.
  std::vector<std::pair<ValueId, bool>> open = {{input, true}};
  std::set<ValueId> seen = {input};
  while (!open.empty()) {
    const auto [value, as_it_is] = open.back();
    open.pop_back();
    for (const NodeId id : graph.consumers(value)) {
      const Node& node = graph.node(id);
      const auto at = std::ranges::find(node.inputs, value);
      if (at == node.inputs.end()) {
        at_most(1);  // a body reads it
        continue;
      }
      const auto position = static_cast<size_t>(at - node.inputs.begin());
      if (const auto rows = rows_picked_from(graph, node, position)) {
        at_most(as_it_is ? *rows : 1);
      } else if (!gives_reals(graph, node) && seen.insert(node.outputs[0]).second) {
        const bool moved =
            node.op == "Cast" || std::ranges::find(kMoving, node.op) != kMoving.end();
        open.emplace_back(node.outputs[0], as_it_is && moved && position == 0);
      }
    }
  }
  return limit;
}

Tensor random_input(const Graph& graph, ValueId input, const Shape& shape, uint64_t seed) {
  const DType dtype = graph.value(input).type.dtype;
  Random random(seed);
  if (is_float(dtype)) {
    Tensor tensor(DType::f32, shape);
    for (float& value : tensor.data<float>()) value = static_cast<float>(random.uniform());
    return dtype == DType::f32 ? tensor : convert(tensor, dtype);
  }
  if (!is_integer(dtype) || shape.rank() == 0) return Tensor(dtype, shape);
  const auto limit = index_limit(graph, input);
  const int64_t most = dtype == DType::i8 ? 128 : dtype == DType::u8 ? 256 : INT32_MAX;
  const int64_t below = std::min(limit.value_or(dtype == DType::u8 ? 256 : 2), most);
  Tensor tensor(DType::i64, shape);
  for (int64_t& value : tensor.data<int64_t>()) {
    value = static_cast<int64_t>(random.below(static_cast<uint64_t>(below)));
  }
  return dtype == DType::i64 ? tensor : convert(tensor, dtype);
}

}  // namespace nibble
