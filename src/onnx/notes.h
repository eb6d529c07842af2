// Reading and writing what a graph carries along for its file (FileNotes).
#pragma once

#include "nibble/graph.h"

namespace nibble {

class OnnxNotes {
 public:
  /// Of a value: its name and the rest of its ValueInfoProto (`declaration`, empty if the file has
  /// none) and the rest of its TensorProto (`storage`).
  using OfValue = FileNotes::OfValue;
  /// Of a node: the rest of its NodeProto.
  using OfNode = FileNotes::OfNode;

  /// To be filled in by the reader.
  static OfValue& of(Graph& graph, ValueId id) { return graph.notes.values_[id]; }
  static OfNode& of(Graph& graph, NodeId id) { return graph.notes.nodes_[id]; }
  static std::string& of_graph(Graph& graph) { return graph.notes.graph_; }
  static std::string& of_model(Graph& graph) { return graph.notes.model_; }

  /// For the writer; empty notes where there are none.
  static const OfValue& of(const Graph& graph, ValueId id) { return find(graph.notes.values_, id); }
  static const OfNode& of(const Graph& graph, NodeId id) { return find(graph.notes.nodes_, id); }
  /// The rest of the GraphProto.
  static const std::string& of_graph(const Graph& graph) { return graph.notes.graph_; }
  /// The rest of the ModelProto; empty for a graph that was not read from a file.
  static const std::string& of_model(const Graph& graph) { return graph.notes.model_; }

 private:
  template <typename Map, typename Id>
  static const typename Map::mapped_type& find(const Map& notes, Id id) {
    static const typename Map::mapped_type kNone;
    const auto known = notes.find(id);
    return known == notes.end() ? kNone : known->second;
  }
};

}  // namespace nibble
