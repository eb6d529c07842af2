// Spatial operators run channels last: [N,C,H,W] becomes [N,H,W,C] between them.
//
// Before: %a:f32[1,3,8,8] = Conv(%x, %w)      %b = Relu(%a)      %y = GlobalAveragePool(%b)
// After:  %x_last = Transpose(%x) {perm=[0,2,3,1]}
//         %a_last:f32[1,8,8,3] = Conv(%x_last, %w) {nibble_channels_last=1}
//         %b_last = Relu(%a_last)
//         %y_last = GlobalAveragePool(%b_last) {nibble_channels_last=1}
//         %y = Transpose(%y_last) {perm=[0,3,1,2]}
//
// Elementwise operators and Concat follow their inputs, so Transpose nodes stay at the borders.
// A Transpose that was there is merged into the change of layout.
#include <algorithm>
#include <map>
#include <optional>

#include "ops/op.h"
#include "passes/evaluate.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr std::string_view kMark = "nibble_channels_last";

// Axis i of the result is axis perm[i] of the source.
std::vector<int64_t> perm_to_last(int rank) {
  std::vector<int64_t> perm = {0};
  for (int axis = 2; axis < rank; ++axis) perm.push_back(axis);
  perm.push_back(1);
  return perm;
}

std::vector<int64_t> inverse(const std::vector<int64_t>& perm) {
  std::vector<int64_t> result(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) {
    result[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  }
  return result;
}

Shape permuted(const Shape& shape, const std::vector<int64_t>& perm) {
  Shape result;
  for (int64_t axis : perm) result.push_back(shape[static_cast<int>(axis)]);
  return result;
}

class Layouts {
 public:
  explicit Layouts(Graph& graph) : graph_(graph), editor_(graph) {}

  int run() {
    int changed = 0;
    for (NodeId id : graph_.nodes()) {
      const bool moved =
          move_spatial(id) || move_elementwise(id) || move_concat(id) || merge_transpose(id);
      if (moved) {
        ++changed;
      } else {
        keep(id);
      }
    }
    for (ValueId output : graph_.outputs) need_first(output, std::nullopt);
    editor_.finish();
    if (changed > 0) graph_.prune();
    return changed;
  }

 private:
  const OpRow* row_of(NodeId id) const {
    const Node& node = graph_.node(id);
    return find_op(node.op, node.domain);
  }
  int rank_of(ValueId id) const { return graph_.value(id).type.shape.rank(); }
  bool is_last(ValueId id) const { return id && last_of_.contains(id.index); }
  bool can_move_output(NodeId id) const;
  bool fits(ValueId id, int rank) const;
  ValueId last(ValueId id, NodeId reader);
  ValueId last_constant(ValueId id, int rank);
  void need_first(ValueId id, std::optional<NodeId> reader);
  Node transpose(ValueId from, ValueId to, std::vector<int64_t> perm);
  void move_output(NodeId id);
  bool move_spatial(NodeId id);
  bool move_elementwise(NodeId id);
  bool move_concat(NodeId id);
  bool merge_transpose(NodeId id);
  void keep(NodeId id);

  Graph& graph_;
  GraphEditor editor_;
  std::map<int32_t, ValueId> last_of_;                      // value -> its channels-last twin
  std::map<std::pair<int32_t, int>, ValueId> constant_of_;  // constant, rank -> its twin
  std::map<int32_t, bool> has_first_;  // values that are computed channels last only, until needed
};

Node Layouts::transpose(ValueId from, ValueId to, std::vector<int64_t> perm) {
  Node node{.op = "Transpose",
            .name = editor_.unique_node_name(graph_.value(to).name + "_Transpose"),
            .inputs = {from},
            .outputs = {to}};
  node.attributes.set("perm", std::move(perm));
  return node;
}

// One output that can change its layout: its rank is known, and it has no parameters per axis.
bool Layouts::can_move_output(NodeId id) const {
  const Node& node = graph_.node(id);
  if (!node.output(0) || !node.captures.empty()) return false;
  for (size_t i = 1; i < node.outputs.size(); ++i) {
    const ValueId extra = node.outputs[i];
    if (extra && (editor_.is_output(extra) || !editor_.consumers(extra).empty())) return false;
  }
  const TensorType& type = graph_.value(node.outputs[0]).type;
  return type.shape.rank() >= 3 &&
         (!type.quant || type.quant->granularity == Granularity::per_tensor);
}

// An operand that can be had channels last beside one of `rank` dimensions.
bool Layouts::fits(ValueId id, int rank) const {
  if (!id) return true;
  const Value& value = graph_.value(id);
  if (value.type.shape.is_static() && value.type.shape.rank() == 0) return true;
  const bool per_tensor =
      !value.type.quant || value.type.quant->granularity == Granularity::per_tensor;
  if (value.is_constant()) return value.type.shape.rank() <= rank && per_tensor;
  return value.type.shape.rank() == rank && per_tensor;
}

ValueId Layouts::last(ValueId id, NodeId reader) {
  if (const auto it = last_of_.find(id.index); it != last_of_.end()) return it->second;
  TensorType type = graph_.value(id).type;
  const std::vector<int64_t> perm = perm_to_last(type.shape.rank());
  type.shape = permuted(type.shape, perm);
  const ValueId twin = editor_.add_value(graph_.value(id).name + "_channels_last", type);
  editor_.insert_before(reader, transpose(id, twin, perm));
  last_of_[id.index] = twin;
  return twin;
}

// A constant of fewer dimensions is filled up with ones in front, as broadcasting does.
ValueId Layouts::last_constant(ValueId id, int rank) {
  const Value& value = graph_.value(id);
  if (value.data.elements() == 1 && value.data.shape().rank() <= 1) return id;
  const auto key = std::pair(id.index, rank);
  if (const auto it = constant_of_.find(key); it != constant_of_.end()) return it->second;
  Shape full;
  for (int i = value.data.shape().rank(); i < rank; ++i) full.push_back(1);
  for (int64_t dim : value.data.shape()) full.push_back(dim);
  Node node{.op = "Transpose", .name = {}, .inputs = {id}, .outputs = {id}};
  node.attributes.set("perm", perm_to_last(rank));
  const Tensor source = value.data.reshaped(full);
  const auto result = evaluate_node(node, graph_.opset(), std::span(&source, 1));
  const auto quant = value.type.quant;
  const ValueId twin = editor_.add_constant(value.name + "_channels_last", result->front());
  if (quant) graph_.value(twin).type = {DType::f32, result->front().shape(), quant};
  constant_of_[key] = twin;
  return twin;
}

// `id` is read (by `reader`, or by the caller if there is none) as it was: if only its twin is
// computed so far, a Transpose now computes it.
void Layouts::need_first(ValueId id, std::optional<NodeId> reader) {
  const auto it = has_first_.find(id.index);
  if (it == has_first_.end() || it->second) return;
  it->second = true;
  Node node = transpose(last_of_.at(id.index), id, inverse(perm_to_last(rank_of(id))));
  if (reader) {
    editor_.insert_before(*reader, std::move(node));
  } else {
    editor_.insert_at_end(std::move(node));
  }
}

// The node computes the channels-last twin of its output.
void Layouts::move_output(NodeId id) {
  const ValueId old = graph_.node(id).outputs[0];
  TensorType type = graph_.value(old).type;
  type.shape = permuted(type.shape, perm_to_last(type.shape.rank()));
  const ValueId twin =
      editor_.add_value(graph_.value(old).name + "_channels_last", std::move(type));
  editor_.set_output(id, 0, twin);
  last_of_[old.index] = twin;
  has_first_[old.index] = false;
}

bool Layouts::move_spatial(NodeId id) {
  const OpRow* row = row_of(id);
  if (row == nullptr || row->layout != LayoutRole::spatial) return false;
  const Node& node = graph_.node(id);
  if (node.attributes.has(kMark) || !can_move_output(id)) return false;
  const ValueId data = node.inputs[0];
  if (!fits(data, rank_of(node.outputs[0])) || graph_.value(data).is_constant()) return false;
  editor_.set_input(id, 0, last(data, id));
  move_output(id);
  graph_.node(id).attributes.set(kMark, int64_t{1});
  return true;
}

bool Layouts::move_elementwise(NodeId id) {
  const OpRow* row = row_of(id);
  if (row == nullptr || row->layout != LayoutRole::elementwise || !can_move_output(id)) {
    return false;
  }
  const std::vector<ValueId> inputs = graph_.node(id).inputs;
  const int rank = rank_of(graph_.node(id).outputs[0]);
  if (std::ranges::none_of(inputs, [&](ValueId input) { return is_last(input); }) ||
      !std::ranges::all_of(inputs, [&](ValueId input) { return fits(input, rank); })) {
    return false;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i] || rank_of(inputs[i]) == 0) continue;
    const bool constant = graph_.value(inputs[i]).is_constant();
    editor_.set_input(id, i, constant ? last_constant(inputs[i], rank) : last(inputs[i], id));
  }
  move_output(id);
  return true;
}

bool Layouts::move_concat(NodeId id) {
  const OpRow* row = row_of(id);
  if (row == nullptr || row->layout != LayoutRole::concat || !can_move_output(id)) return false;
  const std::vector<ValueId> inputs = graph_.node(id).inputs;
  const int rank = rank_of(graph_.node(id).outputs[0]);
  const auto moves = [&](ValueId input) { return rank_of(input) == rank && fits(input, rank); };
  if (std::ranges::none_of(inputs, [&](ValueId input) { return is_last(input); }) ||
      !std::ranges::all_of(inputs, moves)) {
    return false;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool constant = graph_.value(inputs[i]).is_constant();
    editor_.set_input(id, i, constant ? last_constant(inputs[i], rank) : last(inputs[i], id));
  }
  int64_t axis = graph_.node(id).attributes.integer("axis", 1);
  if (axis < 0) axis += rank;
  graph_.node(id).attributes.set("axis", inverse(perm_to_last(rank))[static_cast<size_t>(axis)]);
  move_output(id);
  return true;
}

// A Transpose of a value that is there channels last reads the twin.
bool Layouts::merge_transpose(NodeId id) {
  Node& node = graph_.node(id);
  if (node.op != "Transpose" || !node.domain.empty() || !is_last(node.input(0))) return false;
  const int rank = rank_of(node.inputs[0]);
  std::vector<int64_t> perm = node.attributes.integers("perm");
  if (perm.size() != static_cast<size_t>(rank)) return false;
  const std::vector<int64_t> to_twin = inverse(perm_to_last(rank));
  for (int64_t& axis : perm) axis = to_twin[static_cast<size_t>(axis)];
  const ValueId twin = last_of_.at(node.inputs[0].index);
  const ValueId result = node.outputs[0];
  if (std::ranges::is_sorted(perm) && editor_.can_replace(result, twin) &&
      graph_.value(result).type.quant == graph_.value(twin).type.quant) {
    editor_.remove(id);
    editor_.replace(result, twin);
    return true;
  }
  editor_.set_input(id, 0, twin);
  node.attributes.set("perm", std::move(perm));
  return true;
}

void Layouts::keep(NodeId id) {
  const Node node = graph_.node(id);
  for (ValueId input : node.inputs) {
    if (input) need_first(input, id);
  }
  for (ValueId capture : node.captures) need_first(capture, id);
}

}  // namespace

int channels_last(Graph& graph) {
  infer_types(graph);
  return Layouts(graph).run();
}

}  // namespace nibble
