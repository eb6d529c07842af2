// An If whose condition is known is replaced by the branch it takes.
//
// Before: %y = If(true) {then_branch: %z = Conv(%x, %w), else_branch: ...}    captures %x
// After:  %y = Conv(%x, %w)
//
// Nodes are named by the path that they had: "if/then_branch/conv".
#include <algorithm>
#include <map>

#include "passes/every_graph.h"
#include "passes/graph_editor.h"
#include "passes/pass.h"

namespace nibble {
namespace {

// The branch that is always taken, by the name of its attribute.
std::optional<std::string> known_branch(const Graph& graph, const Node& node) {
  if (node.op != "If" || !node.domain.empty() || !node.input(0)) return std::nullopt;
  const Value& condition = graph.value(node.inputs[0]);
  if (!condition.is_constant() || condition.data.dtype() != DType::boolean ||
      condition.data.elements() != 1) {
    return std::nullopt;
  }
  return condition.data.data<bool>()[0] ? "then_branch" : "else_branch";
}

class Inliner {
 public:
  Inliner(Graph& graph, GraphEditor& editor, NodeId at)
      : graph_(graph), editor_(editor), at_(at), node_(graph.node(at)) {}

  bool run(const std::string& attribute) {
    const auto* found = node_.attributes.find(attribute);
    const auto* source =
        found == nullptr ? nullptr : std::get_if<std::shared_ptr<const Graph>>(found);
    if (source == nullptr || !map_values(**source)) return false;
    const Graph& body = **source;
    for (const NodeId id : body.nodes()) add_node(body, body.node(id), attribute);
    for (size_t i = 0; i < node_.outputs.size(); ++i) {
      if (node_.outputs[i] && !direct_.contains(node_.outputs[i])) {
        editor_.insert_before(at_, {.op = "Identity",
                                    .name = editor_.unique_node_name(node_.name),
                                    .inputs = {values_.at(body.outputs[i])},
                                    .outputs = {node_.outputs[i]}});
      }
    }
    editor_.remove(at_);
    return true;
  }

 private:
  // The values of the graph for those of the body; false if the body is not what it should be.
  bool map_values(const Graph& body) {
    if (!body.inputs.empty() || body.outputs.size() < node_.outputs.size()) return false;
    std::map<ValueId, NodeId> producer;
    for (const NodeId id : body.nodes()) {
      for (const ValueId output : body.node(id).outputs) {
        if (output) producer.emplace(output, id);
      }
    }
    // What a node of the body computes is the output itself, unless it is two outputs.
    for (size_t i = 0; i < node_.outputs.size(); ++i) {
      const ValueId inner = body.outputs[i], outer = node_.outputs[i];
      if (!outer || !producer.contains(inner) || values_.contains(inner)) continue;
      if (body.value(inner).type.quant != graph_.value(outer).type.quant) continue;
      values_[inner] = outer;
      direct_[outer] = true;
    }
    for (int32_t i = 0; i < body.value_count(); ++i) {
      const Value& value = body.value({i});
      if (values_.contains({i}) || value.name.empty()) continue;
      if (!value.is_constant() && !producer.contains({i})) {
        const auto outer = std::ranges::find_if(node_.captures, [&](ValueId capture) {
          return graph_.value(capture).name == value.name;
        });
        // A name that nothing in the body uses needs no value.
        if (outer != node_.captures.end()) values_[{i}] = *outer;
        continue;
      }
      const ValueId made = editor_.add_value(value.name, value.type);
      graph_.value(made).data = value.data;
      graph_.value(made).dim_names = value.dim_names;
      graph_.notes.copy_storage(body.notes, {i}, made);
      values_[{i}] = made;
    }
    const auto known = [&](ValueId id) { return !id || values_.contains(id); };
    return std::ranges::all_of(body.outputs, known) &&
           std::ranges::all_of(body.nodes(), [&](NodeId id) {
             const Node& node = body.node(id);
             return std::ranges::all_of(node.inputs, known) &&
                    std::ranges::all_of(node.captures, known);
           });
  }

  void add_node(const Graph& body, Node node, const std::string& attribute) {
    for (const ValueId capture : node.captures) {
      const std::string& to = graph_.value(values_.at(capture)).name;
      if (body.value(capture).name != to) rename_capture(node, body.value(capture).name, to);
    }
    const auto map = [&](std::vector<ValueId>& ids) {
      for (ValueId& id : ids) {
        if (id) id = values_.contains(id) ? values_.at(id) : ValueId{};
      }
    };
    map(node.inputs);
    map(node.outputs);
    map(node.captures);
    node.name = editor_.unique_node_name(body_path("", node_, attribute) + node.name);
    editor_.insert_before(at_, std::move(node));
  }

  Graph& graph_;
  GraphEditor& editor_;
  NodeId at_;
  const Node node_;
  std::map<ValueId, ValueId> values_;  // of the body -> of the graph
  std::map<ValueId, bool> direct_;     // outputs of the If that a node of the body computes
};

int inline_in(Graph& graph) {
  int inlined = 0;
  for (bool changed = true; changed;) {
    changed = false;
    GraphEditor editor(graph);
    for (const NodeId id : graph.nodes()) {
      const auto branch = known_branch(graph, graph.node(id));
      if (branch && Inliner(graph, editor, id).run(*branch)) {
        changed = true;
        ++inlined;
      }
    }
    editor.finish();
  }
  if (inlined > 0) graph.prune();
  return inlined;
}

}  // namespace

int inline_branches(Graph& graph) {
  return edit_every_graph(graph, [](Graph& one, const std::string&) { return inline_in(one); });
}

}  // namespace nibble
