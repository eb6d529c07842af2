// Spatial operators read and write [N,spatial...,C]; what lies between them follows, so that
// Transpose nodes remain at the borders only.
//
// Before: %y = Conv(%x, %w)                      %z = Relu(%y)     %f = Flatten(%z)
// After:  %x' = Transpose(%x) {perm=[0,2,3,1]}   %y' = Conv(%x', %w) channels_last
//         %z' = Relu(%y')    %z = Transpose(%z') {perm=[0,3,1,2]}    %f = Flatten(%z)
#include <algorithm>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ops/movement/transpose.h"
#include "ops/op.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// Position in [N,spatial...,C] of axis `axis` of [N,C,spatial...].
int64_t last_axis(int64_t axis, int rank) {
  if (axis < 0) axis += rank;
  return axis == 0 ? 0 : axis == 1 ? rank - 1 : axis - 1;
}

std::vector<int64_t> to_last(int rank) {
  std::vector<int64_t> permutation = {0};
  for (int axis = 2; axis < rank; ++axis) permutation.push_back(axis);
  permutation.push_back(1);
  return permutation;
}

std::vector<int64_t> to_first(int rank) {
  std::vector<int64_t> permutation = {0, rank - 1};
  for (int axis = 1; axis < rank - 1; ++axis) permutation.push_back(axis);
  return permutation;
}

TensorType last_type(TensorType type) {
  const Shape first = type.shape;
  for (int axis = 0; axis < first.rank(); ++axis) {
    type.shape[static_cast<int>(last_axis(axis, first.rank()))] = first[axis];
  }
  if (type.quant && type.quant->granularity != Granularity::per_tensor) {
    type.quant->axis = static_cast<int>(last_axis(type.quant->axis, first.rank()));
  }
  return type;
}

class ChannelsLast {
 public:
  explicit ChannelsLast(Graph& graph) : graph_(graph), editor_(graph) {}

  int run() {
    for (NodeId id : graph_.nodes()) visit(id);
    for (ValueId id : graph_.outputs) restore(id);
    editor_.finish();
    if (changed_ > 0) graph_.prune();
    return changed_;
  }

 private:
  struct Twin {
    ValueId value;
    std::optional<NodeId> producer;  // of the twin, where the original must be restored from it
  };

  void visit(NodeId id);
  bool convert(NodeId id);
  bool convert_spatial(NodeId id);
  bool convert_elementwise(NodeId id, const OpRow& row);
  bool convert_slice(NodeId id);
  bool convert_pad(NodeId id);
  bool merge_transpose(NodeId id);
  void take_output(NodeId id);
  void restore(ValueId id);
  ValueId twin(ValueId id, NodeId reader);
  std::optional<ValueId> operand(ValueId id, int rank) const;
  ValueId permuted_constant(ValueId id, int rank);
  std::optional<std::vector<int64_t>> constant_integers(ValueId id) const;
  ValueId add_integers(std::vector<int64_t> values);

  int rank(ValueId id) const { return graph_.value(id).type.shape.rank(); }
  bool has_twin(ValueId id) const { return id && twins_.contains(id.index); }
  NodeId add_transpose(ValueId from, ValueId to, std::vector<int64_t> permutation,
                       std::optional<NodeId> after, NodeId before);

  Graph& graph_;
  GraphEditor editor_;
  std::unordered_map<int32_t, Twin> twins_;  // of values [N,C,spatial...]
  int changed_ = 0;
};

NodeId ChannelsLast::add_transpose(ValueId from, ValueId to, std::vector<int64_t> permutation,
                                   std::optional<NodeId> after, NodeId before) {
  Node node;
  node.op = "Transpose";
  node.name = editor_.unique_node_name(graph_.value(to).name + "_transpose");
  node.inputs = {from};
  node.outputs = {to};
  node.attributes.set("perm", std::move(permutation));
  return after ? editor_.insert_after(*after, std::move(node))
               : editor_.insert_before(before, std::move(node));
}

// The channels-last form of a value that `reader` is about to use.
ValueId ChannelsLast::twin(ValueId id, NodeId reader) {
  if (const auto known = twins_.find(id.index); known != twins_.end()) return known->second.value;
  const ValueId made =
      editor_.add_value(graph_.value(id).name + "_channels_last", last_type(graph_.value(id).type));
  add_transpose(id, made, to_last(rank(id)), std::nullopt, reader);
  twins_[id.index] = {made, std::nullopt};
  return made;
}

// Output 0 of a node that now computes channels last.
void ChannelsLast::take_output(NodeId id) {
  const ValueId original = graph_.node(id).outputs[0];
  const ValueId made = editor_.add_value(graph_.value(original).name + "_channels_last",
                                         last_type(graph_.value(original).type));
  editor_.set_output(id, 0, made);
  twins_[original.index] = {made, id};
  ++changed_;
}

// Somebody needs [N,C,spatial...] after all.
void ChannelsLast::restore(ValueId id) {
  const auto known = twins_.find(id.index);
  if (known == twins_.end() || !known->second.producer) return;
  add_transpose(known->second.value, id, to_first(rank(id)), known->second.producer, {});
  known->second.producer.reset();
}

void ChannelsLast::visit(NodeId id) {
  if (convert(id)) return;
  const Node node = graph_.node(id);
  for (ValueId input : node.inputs) {
    if (input) restore(input);
  }
  for (ValueId capture : node.captures) restore(capture);
}

bool ChannelsLast::convert(NodeId id) {
  const Node& node = graph_.node(id);
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr || node.inputs.empty() || !node.inputs[0] || !node.output(0) ||
      node.output(1) || !node.captures.empty()) {
    return false;
  }
  if (row->layout == LayoutRole::spatial) return convert_spatial(id);
  if (std::ranges::none_of(node.inputs, [&](ValueId input) { return has_twin(input); })) {
    return false;
  }
  if (row->layout != LayoutRole::fixed) return convert_elementwise(id, *row);
  if (node.op == "Slice" && node.domain.empty()) return convert_slice(id);
  if (node.op == "Pad" && node.domain.empty()) return convert_pad(id);
  if (node.op == "Transpose" && node.domain.empty()) return merge_transpose(id);
  return false;
}

bool ChannelsLast::convert_spatial(NodeId id) {
  const Node& node = graph_.node(id);
  if (node.channels_last) return false;
  if (rank(node.inputs[0]) < 3 || rank(node.outputs[0]) != rank(node.inputs[0])) return false;
  editor_.set_input(id, 0, twin(node.inputs[0], id));
  graph_.node(id).channels_last = true;
  take_output(id);
  return true;
}

// What an elementwise operand becomes: itself if it is one element, a constant that can be
// permuted, or a value of full rank; nullopt if it is none of these.
std::optional<ValueId> ChannelsLast::operand(ValueId id, int full_rank) const {
  if (!id) return id;
  const Value& value = graph_.value(id);
  if (value.type.shape.is_static() && value.type.shape.elements() == 1 && rank(id) <= full_rank) {
    return id;
  }
  if (value.is_constant()) {
    const bool whole_bytes = bits_of(value.data.dtype()) >= 8;
    const bool movable = !value.type.quant || (rank(id) == full_rank) ||
                         value.type.quant->granularity == Granularity::per_tensor;
    return rank(id) <= full_rank && whole_bytes && movable ? std::optional(id) : std::nullopt;
  }
  return rank(id) == full_rank ? std::optional(id) : std::nullopt;
}

ValueId ChannelsLast::permuted_constant(ValueId id, int full_rank) {
  const Value value = graph_.value(id);
  Shape shape;
  for (int axis = rank(id); axis < full_rank; ++axis) shape.push_back(1);
  for (int64_t extent : value.type.shape) shape.push_back(extent);
  TensorType type = value.type;
  type.shape = shape;
  type = last_type(type);
  Tensor data(value.data.dtype(), type.shape);
  ThreadPool pool(1);
  const std::vector<int64_t> permutation = to_last(full_rank);
  permute(make_permutation(shape, std::vector<int>(permutation.begin(), permutation.end())),
          static_cast<size_t>(bits_of(value.data.dtype()) / 8), value.data.raw(), data.raw(), pool);
  const ValueId made = editor_.add_constant(value.name + "_channels_last", std::move(data));
  graph_.value(made).type = type;
  return made;
}

bool ChannelsLast::convert_elementwise(NodeId id, const OpRow& row) {
  const std::vector<ValueId> inputs = graph_.node(id).inputs;
  const int full_rank = rank(graph_.node(id).outputs[0]);
  if (full_rank < 3) return false;
  for (ValueId input : inputs) {
    if (!operand(input, full_rank)) return false;
    if (row.layout == LayoutRole::concat && (!input || rank(input) != full_rank)) return false;
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    const Value& value = graph_.value(inputs[i]);
    const bool one = value.type.shape.is_static() && value.type.shape.elements() == 1;
    if (one && row.layout != LayoutRole::concat && !has_twin(inputs[i])) continue;
    editor_.set_input(
        id, i, value.is_constant() ? permuted_constant(inputs[i], full_rank) : twin(inputs[i], id));
  }
  if (row.layout == LayoutRole::concat) {
    Attributes& attributes = graph_.node(id).attributes;
    attributes.set("axis", last_axis(attributes.required_integer("axis"), full_rank));
  }
  take_output(id);
  return true;
}

std::optional<std::vector<int64_t>> ChannelsLast::constant_integers(ValueId id) const {
  if (!id || !graph_.value(id).is_constant()) return std::nullopt;
  const Tensor wide = nibble::convert(graph_.value(id).data, DType::i64);
  return std::vector<int64_t>(wide.data<int64_t>().begin(), wide.data<int64_t>().end());
}

ValueId ChannelsLast::add_integers(std::vector<int64_t> values) {
  return editor_.add_constant("axes", Tensor::of<int64_t>({static_cast<int64_t>(values.size())},
                                                          std::span<const int64_t>(values)));
}

bool ChannelsLast::convert_slice(NodeId id) {
  const Node& node = graph_.node(id);
  const int full_rank = rank(node.inputs[0]);
  auto axes = constant_integers(node.input(3));
  if (!has_twin(node.inputs[0]) || !axes) return false;
  for (int64_t& axis : *axes) axis = last_axis(axis, full_rank);
  editor_.set_input(id, 3, add_integers(*axes));
  editor_.set_input(id, 0, twin(node.inputs[0], id));
  take_output(id);
  return true;
}

bool ChannelsLast::convert_pad(NodeId id) {
  const Node& node = graph_.node(id);
  const int full_rank = rank(node.inputs[0]);
  const auto pads = constant_integers(node.input(1));
  if (!has_twin(node.inputs[0]) || node.input(3) || !pads ||
      pads->size() != 2 * static_cast<size_t>(full_rank)) {
    return false;
  }
  std::vector<int64_t> moved(pads->size());
  for (int axis = 0; axis < full_rank; ++axis) {
    const auto to = static_cast<size_t>(last_axis(axis, full_rank));
    moved[to] = (*pads)[static_cast<size_t>(axis)];
    moved[to + static_cast<size_t>(full_rank)] = (*pads)[static_cast<size_t>(axis + full_rank)];
  }
  editor_.set_input(id, 1, add_integers(moved));
  editor_.set_input(id, 0, twin(node.inputs[0], id));
  take_output(id);
  return true;
}

// A Transpose that was there reads the channels-last form; one that only makes it is not needed.
bool ChannelsLast::merge_transpose(NodeId id) {
  Node& node = graph_.node(id);
  const int full_rank = rank(node.inputs[0]);
  std::vector<int64_t> permutation = node.attributes.integers("perm");
  if (node.inputs.size() != 1 || permutation.size() != static_cast<size_t>(full_rank)) return false;
  for (int64_t& axis : permutation) axis = last_axis(axis, full_rank);
  const ValueId source = twin(node.inputs[0], id);
  const ValueId result = node.outputs[0];
  ++changed_;
  if (std::ranges::is_sorted(permutation) && editor_.can_replace(result, source) &&
      graph_.value(result).type.quant == graph_.value(source).type.quant) {
    editor_.remove(id);
    editor_.replace(result, source);
    return true;
  }
  editor_.set_input(id, 0, source);
  node.attributes.set("perm", std::move(permutation));
  return true;
}

}  // namespace

int channels_last(Graph& graph) {
  infer_types(graph);
  return ChannelsLast(graph).run();
}

}  // namespace nibble
