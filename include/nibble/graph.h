// The graph IR: nodes and values held in vectors and named by ids. Quantization is part of a
// value's type.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/attributes.h"
#include "nibble/file_notes.h"
#include "nibble/ids.h"
#include "nibble/tensor.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A tensor that flows along an edge, or a constant. A constant's `data` holds the reals, or, when
/// its type is quantized, the integers in type.quant->storage.
struct Value {
  std::string name;
  TensorType type;
  Tensor data;  // empty() unless constant
  /// Symbolic names of unknown dimensions ("batch"), parallel to the shape; empty if there are
  /// none.
  std::vector<std::string> dim_names;

  bool is_constant() const { return !data.empty(); }
};

/// Bounds that a node's result is held within: a Relu ([0, inf]) or Clip that compile() made part
/// of the node. Without bounds, and for NaN, it changes nothing.
struct Clamp {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();

  bool any() const { return *this != Clamp{}; }
  bool is_relu() const { return low == 0 && high == Clamp{}.high; }
  float operator()(float x) const { return x < low ? low : (x > high ? high : x); }
  bool operator==(const Clamp&) const = default;
};

struct Node {
  std::string op;  // "Conv"
  std::string
      domain;  // "" is ONNX's own; "nibble" for operators that exist only between compile and run
  std::string name;  // may be empty in the file; load_onnx then invents a unique one
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attributes attributes;
  // What compile() decided; never part of a file.
  Clamp clamp;                 // fused into the node
  bool channels_last = false;  // a spatial operator that reads and writes [N,spatial...,C]
  /// Values of this graph that the node's subgraphs (If, Loop, Scan bodies) use: each subgraph
  /// names them by name.
  std::vector<ValueId> captures;

  ValueId input(size_t i) const { return i < inputs.size() ? inputs[i] : ValueId{}; }
  ValueId output(size_t i) const { return i < outputs.size() ? outputs[i] : ValueId{}; }
};

/// "node conv1 (Conv)": how messages name a node.
std::string describe(const Node& node);

/// Single assignment: each value has at most one producer. Nodes are kept in an order in which
/// producers precede consumers. Ids and references to values and nodes stay valid as long as the
/// graph lives, whatever is added to it.
class Graph {
 public:
  ValueId add_value(std::string name, TensorType type);
  ValueId add_constant(std::string name, Tensor data);
  /// Quantized constant: `codes` has type.quant->storage as its element type.
  ValueId add_constant(std::string name, Tensor codes, QuantParams quant);
  NodeId add_node(Node node);  // at the end
  /// Inserts before `position` (a node of this graph).
  NodeId insert_node(NodeId position, Node node);
  /// The node is taken out; its outputs have no producer afterwards.
  void remove_node(NodeId id);

  Value& value(ValueId id) { return values_[static_cast<size_t>(id.index)]; }
  const Value& value(ValueId id) const { return values_[static_cast<size_t>(id.index)]; }
  Node& node(NodeId id) { return nodes_[static_cast<size_t>(id.index)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id.index)]; }
  int32_t value_count() const { return static_cast<int32_t>(values_.size()); }

  /// Live nodes in execution order (a copy: the graph may be edited while walking it).
  std::vector<NodeId> nodes() const { return order_; }
  /// Replaces the order of execution: many insertions and removals at once. Nodes not listed are
  /// taken out.
  void set_order(std::vector<NodeId> order);
  /// The node that computes `value`; none for inputs and constants.
  std::optional<NodeId> producer(ValueId value) const;
  /// Nodes that read `value` (inputs or captures), in execution order, each once.
  std::vector<NodeId> consumers(ValueId value) const;
  std::optional<ValueId> find_value(std::string_view name) const;
  bool is_input(ValueId value) const;
  bool is_output(ValueId value) const;
  /// A value name derived from `stem` that neither the graph nor a body of its nodes uses yet;
  /// likewise for nodes. For names within a body see GraphEditor.
  std::string unique_value_name(std::string_view stem) const;
  std::string unique_node_name(std::string_view stem) const;

  /// Every reader of `from` (nodes, captures and graph outputs) reads `to` instead. A graph output
  /// keeps its name: the names of the two values are exchanged if `from` was a graph output.
  void replace_uses(ValueId from, ValueId to);
  /// `to` becomes the graph output that `from` was: they exchange names and what the file says of
  /// them, and what was declared of `from` holds for `to` where nothing is known.
  void take_output_role(ValueId from, ValueId to);
  /// Sorts the nodes; throws Error{invalid_model} naming a node on a cycle.
  void sort();
  /// Removes nodes whose results are not used (and that lead to no output), and forgets the data of
  /// unused constants and the names of unused values.
  void prune();
  /// The checks every graph must pass: ids in range, one producer per value, every read value
  /// produced, an input or constant, unique value names, quantized constants with the right storage
  /// and counts. Throws Error{invalid_model}.
  void validate() const;

  std::vector<ValueId> inputs;  // excluding initializers
  std::vector<ValueId> outputs;
  std::string name = "nibble";

  // What belongs to the model file as a whole.
  std::map<std::string, int64_t> opsets;        // domain -> version
  std::map<std::string, std::string> metadata;  // ONNX metadata_props
  FileNotes notes;

  int opset() const;  // of the ONNX domain; 21 if none is set

 private:
  std::deque<Value> values_;  // which never move
  std::deque<Node> nodes_;
  std::vector<NodeId> order_;
};

/// Calls visit(body) for every graph among the node's attributes (the bodies of If, Loop and Scan).
template <typename Visit>
void for_each_body(const Node& node, const Visit& visit) {
  for (const auto& [name, attribute] : node.attributes) {
    if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) visit(**body);
  }
}

/// Calls edit(body) on a copy of each of them, which then takes its place.
void edit_bodies(Node& node, const std::function<void(Graph&)>& edit);
/// The node's bodies know the captured value `from` as `to` from now on.
void rename_capture(Node& node, std::string_view from, std::string_view to);

/// One line per node, for tests and for people: "%y:f32[1,8,4,4] = Conv(%x, %w) {pads=[1,1,1,1]}".
std::string to_text(const Graph& graph);

}  // namespace nibble
#pragma GCC visibility pop
