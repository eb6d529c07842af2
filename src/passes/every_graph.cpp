#include "passes/every_graph.h"

#include <algorithm>
#include <unordered_set>

#include "base/check.h"

namespace nibble {
namespace {

bool has_bodies(const Node& node) {
  bool any = false;
  for_each_body(node, [&](const Graph&) { any = true; });
  return any;
}

// Names of what the body takes from the graphs around it.
std::unordered_set<std::string> free_names(const Graph& body) {
  std::vector<bool> own(static_cast<size_t>(body.value_count()), false);
  const auto define = [&](ValueId id) { own[static_cast<size_t>(id.index)] = true; };
  for (const ValueId input : body.inputs) define(input);
  for (const NodeId id : body.nodes()) {
    for (const ValueId output : body.node(id).outputs) {
      if (output) define(output);
    }
  }
  std::unordered_set<std::string> names;
  const auto read = [&](ValueId id) {
    if (!id || own[static_cast<size_t>(id.index)] || body.value(id).is_constant()) return;
    names.insert(body.value(id).name);
  };
  for (const NodeId id : body.nodes()) {
    std::ranges::for_each(body.node(id).inputs, read);
    std::ranges::for_each(body.node(id).captures, read);
  }
  std::ranges::for_each(body.outputs, read);
  return names;
}

// What the bodies no longer use is captured no longer. Returns whether there was any.
bool refresh_captures(Graph& graph, NodeId id) {
  Node& node = graph.node(id);
  std::unordered_set<std::string> used;
  for_each_body(node, [&](const Graph& body) { used.merge(free_names(body)); });
  return std::erase_if(node.captures,
                       [&](ValueId value) { return !used.contains(graph.value(value).name); }) > 0;
}

int edit(Graph& graph, const std::string& path,
         const std::function<int(Graph&, const std::string&)>& visit) {
  int changes = visit(graph, path);
  bool any = false, dropped = false;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!has_bodies(node)) continue;
    any = true;
    for (const auto& [name, attribute] : Attributes(node.attributes)) {
      const auto* source = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (source == nullptr) continue;
      Graph body = **source;
      if (body.opsets.empty()) body.opsets = graph.opsets;
      changes += edit(body, body_path(path, node, name), visit);
      graph.node(id).attributes.set(name, std::make_shared<const Graph>(std::move(body)));
    }
    dropped |= refresh_captures(graph, id);
  }
  if (dropped || (any && changes > 0)) graph.prune();
  return changes;
}

// Renames what bodies define and a graph around them defines, too.
class NameSeparator {
 public:
  explicit NameSeparator(Graph& graph) {
    collect(graph);
    visit(graph, {});
  }

 private:
  using Names = std::unordered_set<std::string>;

  void collect(const Graph& graph) {
    for (int32_t i = 0; i < graph.value_count(); ++i) taken_.insert(graph.value({i}).name);
    for (const NodeId id : graph.nodes()) {
      for_each_body(graph.node(id), [&](const Graph& body) { collect(body); });
    }
  }

  std::string fresh(const std::string& stem) {
    for (int suffix = 1;; ++suffix) {
      std::string name = fmt::format("{}_{}", stem, suffix);
      if (taken_.insert(name).second) return name;
    }
  }

  void visit(Graph& graph, const Names& around) {
    std::vector<ValueId> own(graph.inputs);
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      if (graph.value({i}).is_constant()) own.push_back({i});
    }
    for (const NodeId id : graph.nodes()) {
      for (const ValueId output : graph.node(id).outputs) {
        if (output) own.push_back(output);
      }
    }
    Names names = around;
    for (const ValueId id : own) {
      Value& value = graph.value(id);
      if (around.contains(value.name)) rename(graph, id);
      names.insert(value.name);
    }
    for (const NodeId id : graph.nodes()) {
      if (!has_bodies(graph.node(id))) continue;
      edit_bodies(graph.node(id), [&](Graph& body) { visit(body, names); });
    }
  }

  void rename(Graph& graph, ValueId id) {
    const std::string from = graph.value(id).name;
    const std::string to = fresh(from);
    graph.value(id).name = to;
    for (const NodeId node : graph.nodes()) {
      if (std::ranges::count(graph.node(node).captures, id) > 0) {
        rename_capture(graph.node(node), from, to);
      }
    }
  }

  Names taken_;
};

}  // namespace

std::string body_path(const std::string& path, const Node& node, const std::string& attribute) {
  return path + node.name + "/" + attribute + "/";
}

namespace {

void visit(const Graph& graph, const std::string& path,
           const std::function<void(const Graph&, const std::string&)>& visitor) {
  visitor(graph, path);
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const auto& [name, attribute] : node.attributes) {
      const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (body != nullptr) visit(**body, body_path(path, node, name), visitor);
    }
  }
}

}  // namespace

void visit_every_graph(const Graph& graph,
                       const std::function<void(const Graph&, const std::string&)>& visitor) {
  visit(graph, "", visitor);
}

int edit_every_graph(Graph& graph, const std::function<int(Graph&, const std::string&)>& visitor) {
  const int changes = edit(graph, "", visitor);
  separate_names(graph);
  return changes;
}

void separate_names(Graph& graph) {
  const auto owns = [&](NodeId id) { return has_bodies(graph.node(id)); };
  if (std::ranges::any_of(graph.nodes(), owns)) NameSeparator separator(graph);
}

OpenGraphs::OpenGraphs(Graph& graph) {
  graphs_.push_back(std::make_unique<OpenGraph>(OpenGraph{.graph = &graph}));
  for (size_t i = 0; i < graphs_.size(); ++i) open(*graphs_[i]);
}

void OpenGraphs::open(OpenGraph& outer) {
  for (const NodeId id : outer.graph->nodes()) {
    const Node& node = outer.graph->node(id);
    for (const auto& [name, attribute] : node.attributes) {
      const auto* source = std::get_if<std::shared_ptr<const Graph>>(&attribute);
      if (source == nullptr) continue;
      bodies_.push_back(std::make_unique<Graph>(**source));
      Graph& body = *bodies_.back();
      if (body.opsets.empty()) body.opsets = outer.graph->opsets;
      graphs_.push_back(
          std::make_unique<OpenGraph>(OpenGraph{.graph = &body,
                                                .path = body_path(outer.path, node, name),
                                                .outer = &outer,
                                                .owner = id,
                                                .attribute = name}));
    }
  }
}

void OpenGraphs::close(bool changed) {
  for (auto open = graphs_.rbegin(); open != graphs_.rend(); ++open) {
    OpenGraph& inner = **open;
    if (inner.outer == nullptr) continue;
    Graph& owner = *inner.outer->graph;
    if (changed) inner.graph->prune();
    owner.node(inner.owner)
        .attributes.set(inner.attribute, std::make_shared<const Graph>(std::move(*inner.graph)));
    refresh_captures(owner, inner.owner);
  }
  if (graphs_.size() > 1 && changed) {
    graphs_.front()->graph->prune();
    separate_names(*graphs_.front()->graph);
  }
  graphs_.resize(1);
  bodies_.clear();
}

bool is_free(const Graph& body, ValueId value) {
  return value && !body.value(value).is_constant() && !body.is_input(value) &&
         !body.producer(value);
}

OpenGraph::Origin OpenGraph::origin(ValueId value) {
  Origin at{this, value};
  while (at.scope->outer != nullptr && is_free(*at.scope->graph, at.value)) {
    const auto found = at.scope->outer->graph->find_value(at.scope->graph->value(at.value).name);
    if (!found) break;
    at = {at.scope->outer, *found};
  }
  return at;
}

void hand_constants_to_bodies(Graph& graph) {
  for (const NodeId id : graph.nodes()) {
    Node& node = graph.node(id);
    const auto is_constant = [&](ValueId value) { return graph.value(value).is_constant(); };
    if (std::ranges::none_of(node.captures, is_constant)) continue;
    edit_bodies(node, [&](Graph& body) {
      for (const ValueId capture : node.captures) {
        if (!is_constant(capture)) continue;
        const Value& outer = graph.value(capture);
        const auto inner = body.find_value(outer.name);
        // ONNX Runtime wants what a body gives to be its own.
        if (!inner || !is_free(body, *inner) || body.is_output(*inner)) continue;
        body.value(*inner).data = outer.data;
        body.value(*inner).type = outer.type;
        body.notes.copy_storage(graph.notes, capture, *inner);
      }
    });
  }
}

}  // namespace nibble
