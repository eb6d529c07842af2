// Names that nobody has. Bodies of nodes see the names around them, so theirs count as well.
#include <fmt/format.h>

#include <algorithm>

#include "nibble/graph.h"

namespace nibble {
namespace {

// Whether the graph, or a body of one of its nodes, has a value of that name.
bool names_value(const Graph& graph, const std::string& name) {
  if (graph.find_value(name)) return true;
  bool found = false;
  for (NodeId id : graph.nodes()) {
    for_each_body(graph.node(id),
                  [&](const Graph& body) { found = found || names_value(body, name); });
  }
  return found;
}

bool names_node(const Graph& graph, const std::string& name) {
  bool found = false;
  for (NodeId id : graph.nodes()) {
    found = found || graph.node(id).name == name;
    for_each_body(graph.node(id),
                  [&](const Graph& body) { found = found || names_node(body, name); });
  }
  return found;
}

template <typename Taken>
std::string unique_name(std::string_view stem, const Taken& taken) {
  std::string candidate(stem);
  for (int suffix = 1; taken(candidate); ++suffix) candidate = fmt::format("{}_{}", stem, suffix);
  return candidate;
}

}  // namespace

std::string Graph::unique_value_name(std::string_view stem) const {
  return unique_name(stem,
                     [&](const std::string& candidate) { return names_value(*this, candidate); });
}

std::string Graph::unique_node_name(std::string_view stem) const {
  return unique_name(stem,
                     [&](const std::string& candidate) { return names_node(*this, candidate); });
}

}  // namespace nibble
