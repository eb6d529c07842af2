// Editing a whole graph in time proportional to its size: producers and readers are indexed once
// and kept up to date, and the order of nodes is rebuilt once, at the end.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

class GraphEditor {
 public:
  explicit GraphEditor(Graph& graph);
  /// Edits a body of one of the nodes of owner's graph: what it names is new to all of them.
  GraphEditor(Graph& body, GraphEditor& owner);
  /// finish() must have been called before the graph is used again.
  GraphEditor(const GraphEditor&) = delete;
  GraphEditor& operator=(const GraphEditor&) = delete;

  /// Live node that computes `value`; none for inputs, constants and no value.
  std::optional<NodeId> producer(ValueId value) const;
  /// The same if it is an ONNX operator `op`, else nullptr.
  const Node* producer(ValueId value, std::string_view op) const;
  /// Live nodes that read or capture `value`, each once.
  std::vector<NodeId> consumers(ValueId value) const;
  /// The one node that reads `value`, if there is exactly one, it reads it once and does not
  /// capture it, and the value is not a graph output.
  std::optional<NodeId> only_consumer(ValueId value) const;
  bool is_output(ValueId value) const;
  bool is_input(ValueId value) const;
  /// A subgraph uses the value, by its name.
  bool is_captured(ValueId value) const;
  bool is_removed(NodeId node) const;

  /// Whether replace(from, to) can keep all names: subgraphs and callers know values by name.
  bool can_replace(ValueId from, ValueId to) const;
  /// As Graph::replace_uses.
  void replace(ValueId from, ValueId to);
  void set_input(NodeId node, size_t i, ValueId value);  // appends absent inputs in between
  /// Makes `node` compute `value` instead of its output i.
  void set_output(NodeId node, size_t i, ValueId value);
  void remove(NodeId node);
  /// At the place of `position`: before it, or behind it. Of several, the first inserted comes
  /// first.
  NodeId insert_before(NodeId position, Node node);
  NodeId insert_after(NodeId position, Node node);
  NodeId insert_at_front(Node node);

  /// A value with a name that nobody has, bodies of nodes included.
  ValueId add_value(std::string_view stem, TensorType type);
  ValueId add_constant(std::string_view stem, Tensor data);
  std::string unique_value_name(std::string_view stem);
  std::string unique_node_name(std::string_view stem);

  /// Gives the graph its new order of nodes.
  void finish();

 private:
  // By name: the last suffix tried.
  struct Names {
    std::unordered_map<std::string, int> values, nodes;
  };
  GraphEditor(Graph& graph, std::shared_ptr<Names> names);
  static std::shared_ptr<Names> names_of(const Graph& graph);
  static void collect(const Graph& graph, Names& names);
  void grow();
  NodeId insert(Node node);
  void index(NodeId id);

  Graph& graph_;
  std::vector<NodeId> producers_;             // by value
  std::vector<std::vector<NodeId>> readers_;  // by value; may hold nodes that no longer read it
  std::vector<bool> outputs_, inputs_;        // by value
  std::vector<bool> removed_;                 // by node
  std::vector<NodeId> front_;
  std::unordered_map<int32_t, std::vector<NodeId>> before_, after_;
  std::shared_ptr<Names> names_;  // shared with editors of bodies
};

}  // namespace nibble
#pragma GCC visibility pop
