// Types of values from the types of inputs, one node after the other: for those who add nodes and
// need to know what comes out of them.
#pragma once

#include <deque>
#include <span>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

class TypeInference {
 public:
  /// The graph may grow; what it holds may not be taken out.
  explicit TypeInference(Graph& graph) : graph_(graph) {}

  /// All nodes, in execution order.
  void run();
  /// Gives the outputs of the node the types that follow from those of its inputs, and so its
  /// bodies. Leaves them as they are where the operator or an input's element type is unknown.
  /// Throws Error{invalid_model} if a declared type contradicts.
  void infer(NodeId id);
  /// The value, in real numbers, if it is constant, or small and follows from constants and known
  /// shapes; else nullptr.
  const Tensor* known(ValueId id);

 private:
  void infer_bodies(Node& node);
  struct State {
    ValueId input, output;  // of the body
    TensorType type;
  };
  std::vector<State> open_states(const Node& node, const Graph& body) const;
  bool infer_states(const Node& node, Graph& body) const;
  void infer_branches(const Node& node);
  void merge(ValueId id, const TensorType& type);
  void learn_values(const Node& node, std::span<const Tensor> constants);
  Tensor& entry(ValueId id);

  Graph& graph_;
  std::deque<Tensor> known_;  // by value id; empty: not known, or not looked at yet; grows in place
};

}  // namespace nibble
