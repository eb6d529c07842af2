// Operators that are read as their parts: what ONNX Runtime's tools fuse, quantize or pack into
// operators of their own becomes operators of ONNX, so that the rest of Nibble need not know them.
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "passes/graph_editor.h"
#include "passes/type_inference.h"

namespace nibble {

/// One node while it is taken apart. New nodes stand in its place, in the order in which they are
/// made; their types are inferred at once.
class Expansion {
 public:
  Expansion(Graph& graph, GraphEditor& editor, TypeInference& types, NodeId at);

  const Node node;  // as the file has it

  bool has(size_t input) const { return static_cast<bool>(node.input(input)); }
  ValueId in(size_t i) const { return node.input(i); }
  bool wants(size_t output) const { return static_cast<bool>(node.output(output)); }
  int opset() const { return graph_.opset(); }
  /// What is known of the value: the element type may be undefined, the rank unknown.
  const TensorType& type(ValueId id) const { return id ? graph_.value(id).type : kNothing; }
  int rank(ValueId id) const { return type(id).shape.rank(); }
  /// The value if it is constant, or follows from constants and known shapes; else nullptr.
  const Tensor* known(ValueId id) { return types_.known(id); }
  /// The same of a constant that must be one: else throws Error{unsupported}, calling it `what`.
  const Tensor& required(ValueId id, std::string_view what);

  /// A new node of ONNX's own, with one result. An absent value is an input left out.
  ValueId op(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {});
  /// The same with several.
  std::vector<ValueId> ops(std::string_view op, std::vector<ValueId> inputs, size_t outputs,
                           Attributes attributes = {});
  ValueId constant(Tensor data);
  /// A constant in the element type of `like` (f32 where that is unknown).
  ValueId scalar_like(ValueId like, double value);
  ValueId integers(std::initializer_list<int64_t> values);
  /// `value`, made here or not, is the node's output.
  void give(size_t output, ValueId value);
  /// The first outputs, in order.
  void give_all(std::span<const ValueId> values);

  [[noreturn]] void refuse(std::string_view why) const;

 private:
  std::string stem(std::string_view what) const;

  static const TensorType kNothing;  // of an input left out

  Graph& graph_;
  GraphEditor& editor_;
  TypeInference& types_;
  NodeId at_;
  std::vector<NodeId> made_;
  std::map<ValueId, ValueId> given_;  // values made here that became outputs of the node
};

/// One operator. `expand` makes the parts and gives every output that the node has; or returns
/// false before it made any: the node then stays as it is. Throws Error{unsupported} for what it
/// cannot take apart.
struct ExpansionRow {
  std::string_view domain, op;
  bool (*expand)(Expansion&);
  std::string_view becomes;  // for people: "Add, LayerNormalization"
};

// Attributes in one expression: attributes_of({{"axis", int64_t{1}}}).
Attributes attributes_of(std::initializer_list<std::pair<std::string_view, Attribute>> items);
/// Those of `node` with these names, where it has them.
Attributes taken_over(const Node& node, std::initializer_list<std::string_view> names);

}  // namespace nibble
