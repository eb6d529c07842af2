// What a node costs: the numbers it has learned.
#pragma once

#include <map>
#include <set>
#include <string>

#include "nibble/graph.h"

namespace nibble {

/// A node's parameters: float constants it reads, also through nodes that rearrange constants
/// (Reshape, Transpose, ...), without scalars such as a Clip's limits; of an operator on integers,
/// weight and bias.
struct ParameterCount {
  int64_t all = 0;
  int64_t first_seen = 0;  // those that no node asked for before reads too
};

/// Counts the parameters of nodes in the order in which it is asked.
class ParameterCounter {
 public:
  /// `outer` counts the graph that the body `graph` stands in, and outlives this.
  explicit ParameterCounter(const Graph& graph, ParameterCounter* outer = nullptr);

  ParameterCount count(const Node& node);
  /// It reads constants alone (and so does what it reads), so it is computed when a model is read.
  bool is_constant(const Node& node) const;

 private:
  using Roots = std::set<const Value*>;
  void add_roots(ValueId id, Roots& roots) const;
  void add_known_captures();
  std::set<const Value*>& seen() { return outer_ == nullptr ? seen_ : outer_->seen(); }

  const Graph& graph_;
  ParameterCounter* outer_;
  std::map<ValueId, NodeId> producer_;
  std::set<ValueId> known_;  // constants, and what is computed from them alone
  std::set<const Value*> seen_;
};

/// The counters of the graphs of a model, which know each other.
class ParameterCounters {
 public:
  /// `outer`: the graph around it, added before; nullptr if there is none.
  ParameterCounter& add(const Graph& graph, const Graph* outer);

 private:
  std::map<const Graph*, ParameterCounter> counters_;
};

}  // namespace nibble
