// Quantized types become nodes, for export.
//
// Before: %y:f32[1,8] as u8 = Gemm(%x, %w:f32[4,8] as i8)
// After:  %w = DequantizeLinear(%w_quantized:i8, %w_scale, %w_zero_point)
//         %y = Gemm(%x, %w)
//         %y_quantized:u8 = QuantizeLinear(%y, %y_scale, %y_zero_point)
//         readers of %y read DequantizeLinear(%y_quantized, %y_scale, %y_zero_point)
//
// Weights go into the smallest element type that holds their codes and that the target computes
// with. Activations are stored in 8 bits at least; where their codes use less, a Clip before
// QuantizeLinear keeps them in range, in standard operators.
#include "passes/insert_qdq.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/check.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

struct Pair {
  ValueId scale, zero_point;
};

DType smallest_storage(const QuantParams& quant, int least_bits) {
  constexpr std::array kSigned = {DType::i2, DType::i4, DType::i8, DType::i16};
  constexpr std::array kUnsigned = {DType::u2, DType::u4, DType::u8, DType::u16};
  const auto [low, high] = std::ranges::minmax(quant.zero_point);
  for (DType type : is_signed(quant.storage) ? kSigned : kUnsigned) {
    if (bits_of(type) >= least_bits &&
        bits_of(type) <= std::max(least_bits, bits_of(quant.storage)) &&
        std::min(quant.qmin, low) >= lowest_of(type) &&
        std::max(quant.qmax, high) <= highest_of(type)) {
      return type;
    }
  }
  return quant.storage;
}

class Inserter {
 public:
  Inserter(Graph& graph, const Target& target) : graph_(graph), editor_(graph), target_(target) {
    if (target.weights_above_two_bits != nullptr) {
      above_two_bits_ = target.weights_above_two_bits(graph);
    }
  }
  /// Of a body of one of the owner's nodes.
  Inserter(Graph& body, Inserter& owner)
      : graph_(body), editor_(body, owner.editor_), target_(owner.target_), owner_(&owner) {
    if (target_.weights_above_two_bits != nullptr) {
      above_two_bits_ = target_.weights_above_two_bits(body);
    }
  }

  int run() {
    int inserted = 0;
    const int32_t count = graph_.value_count();
    for (int32_t i = 0; i < count; ++i) {
      if (!graph_.value({i}).type.quant) continue;
      if (graph_.value({i}).is_constant()) {
        insert_for_constant({i});
        ++inserted;
      } else if (editor_.is_input({i}) || editor_.producer({i}) || needs_own_pair({i})) {
        insert_for_activation({i});
        ++inserted;
      }
      graph_.value({i}).type.quant.reset();
    }
    for (const NodeId id : graph_.nodes()) {
      bool has_bodies = false;
      for_each_body(graph_.node(id), [&](const Graph& body) { has_bodies |= is_quantized(body); });
      if (!has_bodies) continue;
      edit_bodies(graph_.node(id), [&](Graph& body) { inserted += Inserter(body, *this).run(); });
    }
    editor_.finish();
    if (inserted > 0) graph_.sort();
    return inserted;
  }

 private:
  // A body's captured value lies on a grid that the graph around it has not put it on already.
  bool needs_own_pair(ValueId captured) const {
    if (owner_ == nullptr || editor_.consumers(captured).empty()) return false;
    const QuantParams* grid = owner_->grid_of(graph_.value(captured).name);
    return grid == nullptr || *grid != *graph_.value(captured).type.quant;
  }
  // The grid of the value that bodies know by this name; nullptr if it has none.
  const QuantParams* grid_of(const std::string& name) const {
    const auto known = grids_.find(name);
    if (known != grids_.end()) return &known->second;
    return owner_ == nullptr ? nullptr : owner_->grid_of(name);
  }

  void insert_for_constant(ValueId id);
  void insert_for_activation(ValueId id);
  void hand_to_bodies(ValueId from, ValueId to);
  void hand_to_readers(ValueId from, ValueId to);
  ValueId clip(ValueId raw, const std::string& name, const QuantParams& quant, NodeId& last);
  Pair add_parameters(const std::string& name, const QuantParams& quant, const Shape& shape);
  Node qdq(const char* op, ValueId input, const Pair& pair, ValueId output,
           const QuantParams& quant, const std::string& name);

  Graph& graph_;
  GraphEditor editor_;
  const Target& target_;
  Inserter* owner_ = nullptr;
  std::set<ValueId> above_two_bits_;
  std::map<std::string, QuantParams> grids_;  // of activations, by the names that bodies capture
};

Pair Inserter::add_parameters(const std::string& name, const QuantParams& quant,
                              const Shape& shape) {
  Shape groups;
  if (quant.granularity == Granularity::per_channel) groups = Shape{shape[quant.axis]};
  if (quant.granularity == Granularity::per_block) {
    groups = shape;
    groups[quant.axis] = (shape[quant.axis] + quant.block_size - 1) / quant.block_size;
  }
  const ValueId scale =
      editor_.add_constant(name + "_scale", Tensor::of<float>(groups, quant.scale));
  // A bias of 32 bits has none but 0, which is what an absent one means.
  if (quant.storage == DType::i32) return {scale, ValueId{}};
  return {scale, editor_.add_constant(name + "_zero_point",
                                      pack_integers(quant.storage, groups, quant.zero_point))};
}

Node Inserter::qdq(const char* op, ValueId input, const Pair& pair, ValueId output,
                   const QuantParams& quant, const std::string& name) {
  Node node{.op = op,
            .name = editor_.unique_node_name(name),
            .inputs = {input, pair.scale},
            .outputs = {output}};
  if (pair.zero_point) node.inputs.push_back(pair.zero_point);
  if (quant.granularity != Granularity::per_tensor) {
    node.attributes.set("axis", static_cast<int64_t>(quant.axis));
  }
  if (quant.granularity == Granularity::per_block) {
    node.attributes.set("block_size", quant.block_size);
  }
  return node;
}

// The value itself becomes the result of DequantizeLinear, so its readers need no change.
void Inserter::insert_for_constant(ValueId id) {
  QuantParams quant = *graph_.value(id).type.quant;
  const Tensor codes = graph_.value(id).data;
  if (quant.storage == DType::i32 && !target_.integer_bias) {
    graph_.value(id).data = dequantize_tensor(codes, quant);
    return;
  }
  int least = quant.granularity == Granularity::per_block ? target_.least_weight_bits
                                                          : target_.least_unblocked_weight_bits;
  if (above_two_bits_.contains(id)) least = std::max(least, 4);
  if (quant.storage != DType::i32) quant.storage = smallest_storage(quant, least);
  const std::string name = graph_.value(id).name;
  const ValueId stored = editor_.add_constant(
      name + "_quantized",
      quant.storage == codes.dtype()
          ? codes
          : pack_integers(quant.storage, codes.shape(), unpack_integers(codes)));
  Value& value = graph_.value(id);
  value.data = {};
  graph_.notes.move_storage(id, stored);
  graph_.notes.forget_input(id);
  const Pair pair = add_parameters(name, quant, codes.shape());
  editor_.insert_at_front(qdq("DequantizeLinear", stored, pair, id, quant, name + "_dq"));
}

// Real limits that keep the codes in [qmin, qmax], where the stored type has more.
ValueId Inserter::clip(ValueId raw, const std::string& name, const QuantParams& quant,
                       NodeId& last) {
  const auto limit = [&](int32_t code) {
    return Tensor::scalar(quant.scale[0] * static_cast<float>(code - quant.zero_point[0]));
  };
  const ValueId clipped = editor_.add_value(name + "_clipped", graph_.value(raw).type);
  graph_.value(clipped).type.quant.reset();
  Node node{.op = "Clip",
            .name = editor_.unique_node_name(name + "_clip"),
            .inputs = {raw},
            .outputs = {clipped}};
  if (graph_.opset() < 11) {
    node.attributes.set("min", limit(quant.qmin).data<float>()[0]);
    node.attributes.set("max", limit(quant.qmax).data<float>()[0]);
  } else {
    node.inputs.push_back(editor_.add_constant(name + "_min", limit(quant.qmin)));
    node.inputs.push_back(editor_.add_constant(name + "_max", limit(quant.qmax)));
  }
  last =
      last ? editor_.insert_after(last, std::move(node)) : editor_.insert_at_front(std::move(node));
  return clipped;
}

// Bodies that captured the graph input `from` capture `to` instead.
void Inserter::hand_to_bodies(ValueId from, ValueId to) {
  for (NodeId reader : editor_.consumers(from)) {
    Node& node = graph_.node(reader);
    if (std::ranges::find(node.captures, from) == node.captures.end()) continue;
    rename_capture(node, graph_.value(from).name, graph_.value(to).name);
    std::ranges::replace(node.captures, from, to);
  }
}

// Nodes read `to` instead, callers do not.
void Inserter::hand_to_readers(ValueId from, ValueId to) {
  for (NodeId reader : editor_.consumers(from)) {
    for (size_t i = 0; i < graph_.node(reader).inputs.size(); ++i) {
      if (graph_.node(reader).inputs[i] == from) editor_.set_input(reader, i, to);
    }
  }
}

void Inserter::insert_for_activation(ValueId id) {
  QuantParams quant = *graph_.value(id).type.quant;
  const std::string name = graph_.value(id).name;
  if (bits_of(quant.storage) < 8) quant.storage = is_signed(quant.storage) ? DType::i8 : DType::u8;
  TensorType type = graph_.value(id).type;
  type.quant.reset();
  ValueId raw = id;
  ValueId result;
  NodeId last = editor_.producer(id).value_or(NodeId{});
  // Callers and subgraphs know the value by its name: it must then be the dequantized one. (The
  // name of an input is its callers': its subgraphs learn another. An input that is an output, too,
  // is given back as it came.)
  const bool keeps_name = last && (editor_.is_output(id) || editor_.is_captured(id));
  if (keeps_name) {
    raw = editor_.add_value(name + "_real", type);
    Node& producer = graph_.node(last);
    for (size_t i = 0; i < producer.outputs.size(); ++i) {
      if (producer.outputs[i] == id) editor_.set_output(last, i, raw);
    }
    result = id;
  } else {
    result = editor_.add_value(name + "_dequantized", type);
    hand_to_bodies(id, result);
    if (editor_.is_output(id)) {
      hand_to_readers(id, result);
    } else {
      editor_.replace(id, result);
    }
  }
  grids_[graph_.value(result).name] = *graph_.value(id).type.quant;
  ValueId source = raw;
  // An Identity that only gives its input a quantized type has done its work.
  if (const Node* identity = editor_.producer(raw, "Identity")) {
    const NodeId identity_id = last;
    source = identity->inputs[0];
    last = identity_id;
    if (!editor_.is_removed(identity_id)) editor_.remove(identity_id);
  }
  // Symmetric 8-bit codes leave out one code of the stored type; that is no reason for a Clip.
  const bool narrow = quant.qmin > lowest_of(quant.storage) + (is_signed(quant.storage) ? 1 : 0) ||
                      quant.qmax < highest_of(quant.storage);
  if (narrow) source = clip(source, name, quant, last);
  TensorType code_type{.dtype = quant.storage, .shape = type.shape, .quant = {}};
  const ValueId codes = editor_.add_value(name + "_quantized", code_type);
  const Pair pair = add_parameters(name, quant, type.shape);
  Node q = qdq("QuantizeLinear", source, pair, codes, quant, name + "_q");
  last = last ? editor_.insert_after(last, std::move(q)) : editor_.insert_at_front(std::move(q));
  editor_.insert_after(last, qdq("DequantizeLinear", codes, pair, result, quant, name + "_dq"));
}

}  // namespace

int opset_for(const QuantParams& quant) {
  const int bits = bits_of(quant.storage);
  if (bits < 4) return 25;
  if (bits < 8 || bits == 16 || quant.granularity == Granularity::per_block) return 21;
  return quant.granularity == Granularity::per_channel ? 13 : 10;
}

int opset_of_integer_operator(std::string_view op) {
  if (op == "DynamicQuantizeLinear") return 11;
  const bool integer = op == "QuantizeLinear" || op == "DequantizeLinear" || op == "ConvInteger" ||
                       op == "MatMulInteger" || op == "QLinearConv" || op == "QLinearMatMul";
  return integer ? 10 : 0;
}

bool is_quantized(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    if (graph.value({i}).type.quant) return true;
  }
  bool found = false;
  for (const NodeId id : graph.nodes()) {
    for_each_body(graph.node(id), [&](const Graph& body) { found |= is_quantized(body); });
  }
  return found;
}

int insert_qdq(Graph& graph, const Target& target) { return Inserter(graph, target).run(); }
int insert_qdq(Graph& graph) { return insert_qdq(graph, default_target()); }

}  // namespace nibble
