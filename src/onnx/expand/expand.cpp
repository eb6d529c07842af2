#include "onnx/expand/expand.h"

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/lengths.h"
#include "onnx/expand/families.h"

namespace nibble {
namespace {

class Expander {
 public:
  explicit Expander(Graph& graph) : graph_(graph), editor_(graph), types_(graph) {}
  Expander(Graph& body, Expander& owner)
      : graph_(body), editor_(body, owner.editor_), types_(body) {}

  int run() {
    for (NodeId id : graph_.nodes()) {
      with_context([&] { return describe(graph_.node(id)); }, [&] { visit(id); });
    }
    editor_.finish();
    return expanded_;
  }

 private:
  void visit(NodeId id) {
    const Node& node = graph_.node(id);
    const ExpansionRow* row = find_expansion(node.op, node.domain);
    if (row != nullptr) {
      Expansion expansion(graph_, editor_, types_, id);
      if (row->expand(expansion)) {
        editor_.remove(id);
        ++expanded_;
        return;
      }
    }
    infer(id);  // bodies learn the types of what they capture
    edit_bodies(graph_.node(id), [&](Graph& body) { expanded_ += Expander(body, *this).run(); });
    infer(id);
  }

  // What is wrong with a type will be said when the graph is compiled; here it is not known, then.
  void infer(NodeId id) {
    try {
      with_lengths_from_model([&] { types_.infer(id); });
    } catch (const Error&) {
    }
  }

  Graph& graph_;
  GraphEditor editor_;
  TypeInference types_;
  int expanded_ = 0;
};

// Whether there is anything to do: types are inferred only then.
bool has_any(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [&](NodeId id) {
    const Node& node = graph.node(id);
    bool found = find_expansion(node.op, node.domain) != nullptr;
    for_each_body(node, [&](const Graph& body) { found = found || has_any(body); });
    return found;
  });
}

void collect_domains(const Graph& graph, std::set<std::string>& domains) {
  for (NodeId id : graph.nodes()) {
    domains.insert(graph.node(id).domain);
    for_each_body(graph.node(id), [&](const Graph& body) { collect_domains(body, domains); });
  }
}

}  // namespace

std::span<const ExpansionRow> expansion_table() {
  static const std::vector<ExpansionRow> rows = [] {
    std::vector<ExpansionRow> all;
    for (ExpansionFamily family : kExpansionFamilies) {
      all.insert(all.end(), family().begin(), family().end());
    }
    return all;
  }();
  return rows;
}

const ExpansionRow* find_expansion(std::string_view op, std::string_view domain) {
  const std::span<const ExpansionRow> table = expansion_table();
  const auto row = std::ranges::find_if(table, [&](const ExpansionRow& candidate) {
    return candidate.op == op && candidate.domain == domain;
  });
  return row == table.end() ? nullptr : &*row;
}

int expand_operators(Graph& graph) {
  if (!has_any(graph)) return 0;
  const int expanded = Expander(graph).run();
  graph.prune();  // constants that were packed otherwise
  std::set<std::string> domains;
  collect_domains(graph, domains);
  for (const ExpansionRow& row : expansion_table()) {
    if (!row.domain.empty() && !domains.contains(std::string(row.domain))) {
      graph.opsets.erase(std::string(row.domain));
    }
  }
  return expanded;
}

int opset_of_part(std::string_view op) {
  if (op == "LayerNormalization") return 17;
  if (op == "Gelu") return 20;
  if (op == "RMSNormalization" || op == "RotaryEmbedding") return 23;
  return 0;
}

}  // namespace nibble
