#include "passes/graph_editor.h"

#include <algorithm>

#include "base/check.h"

namespace nibble {
namespace {

bool contains(const std::vector<ValueId>& values, ValueId value) {
  return std::ranges::find(values, value) != values.end();
}

std::string unique_name(std::unordered_map<std::string, int>& names, std::string_view stem) {
  std::string name(stem);
  int& suffix = names[name];
  if (suffix++ == 0) return name;
  for (;; ++suffix) {
    name = fmt::format("{}_{}", stem, suffix);
    if (names.try_emplace(name, 1).second) return name;
  }
}

size_t at(ValueId value) { return static_cast<size_t>(value.index); }
size_t at(NodeId node) { return static_cast<size_t>(node.index); }

}  // namespace

void GraphEditor::collect(const Graph& graph, Names& names) {
  for (int32_t i = 0; i < graph.value_count(); ++i) names.values[graph.value({i}).name] = 1;
  for (NodeId id : graph.nodes()) {
    names.nodes[graph.node(id).name] = 1;
    for_each_body(graph.node(id), [&](const Graph& body) { collect(body, names); });
  }
}

std::shared_ptr<GraphEditor::Names> GraphEditor::names_of(const Graph& graph) {
  auto names = std::make_shared<Names>();
  names->values[""] = 1;
  collect(graph, *names);
  return names;
}

GraphEditor::GraphEditor(Graph& graph) : GraphEditor(graph, names_of(graph)) {}
GraphEditor::GraphEditor(Graph& body, GraphEditor& owner) : GraphEditor(body, owner.names_) {}

GraphEditor::GraphEditor(Graph& graph, std::shared_ptr<Names> names)
    : graph_(graph), names_(std::move(names)) {
  grow();
  for (NodeId id : graph.nodes()) index(id);
  for (ValueId value : graph.outputs) outputs_[at(value)] = true;
  for (ValueId value : graph.inputs) inputs_[at(value)] = true;
}

void GraphEditor::grow() {
  const auto count = static_cast<size_t>(graph_.value_count());
  producers_.resize(count);
  readers_.resize(count);
  outputs_.resize(count);
  inputs_.resize(count);
}

void GraphEditor::index(NodeId id) {
  const Node& node = graph_.node(id);
  if (removed_.size() <= at(id)) removed_.resize(at(id) + 1);
  for (ValueId value : node.outputs) {
    if (value) producers_[at(value)] = id;
  }
  const auto read = [&](ValueId value) {
    if (value && (readers_[at(value)].empty() || readers_[at(value)].back() != id)) {
      readers_[at(value)].push_back(id);
    }
  };
  std::ranges::for_each(node.inputs, read);
  std::ranges::for_each(node.captures, read);
}

std::optional<NodeId> GraphEditor::producer(ValueId value) const {
  if (!value || !producers_[at(value)] || is_removed(producers_[at(value)])) return std::nullopt;
  return producers_[at(value)];
}

const Node* GraphEditor::producer(ValueId value, std::string_view op) const {
  const auto id = producer(value);
  if (!id) return nullptr;
  const Node& node = graph_.node(*id);
  return node.op == op && node.domain.empty() ? &node : nullptr;
}

std::vector<NodeId> GraphEditor::consumers(ValueId value) const {
  std::vector<NodeId> found;
  if (!value) return found;
  for (NodeId id : readers_[at(value)]) {
    const Node& node = graph_.node(id);
    if (is_removed(id) || !(contains(node.inputs, value) || contains(node.captures, value))) {
      continue;
    }
    if (found.empty() || std::ranges::find(found, id) == found.end()) found.push_back(id);
  }
  return found;
}

std::optional<NodeId> GraphEditor::only_consumer(ValueId value) const {
  if (!value || is_output(value)) return std::nullopt;
  std::optional<NodeId> found;
  for (NodeId id : readers_[at(value)]) {
    const Node& node = graph_.node(id);
    if (is_removed(id) || id == found) continue;
    if (contains(node.captures, value)) return std::nullopt;
    const auto reads = std::ranges::count(node.inputs, value);
    if (reads == 0) continue;
    if (found || reads > 1) return std::nullopt;
    found = id;
  }
  return found;
}

bool GraphEditor::is_output(ValueId value) const { return value && outputs_[at(value)]; }
bool GraphEditor::is_input(ValueId value) const { return value && inputs_[at(value)]; }
bool GraphEditor::is_removed(NodeId node) const { return removed_[at(node)]; }

bool GraphEditor::is_captured(ValueId value) const {
  return value && std::ranges::any_of(readers_[at(value)], [&](NodeId id) {
           return !is_removed(id) && contains(graph_.node(id).captures, value);
         });
}

bool GraphEditor::can_replace(ValueId from, ValueId to) const {
  if (!from || !to || is_captured(from)) return false;
  if (!is_output(from)) return true;
  // What a body takes from around it is not its own to name, nor to give.
  return producer(to) && !is_output(to) && !is_captured(to);
}

void GraphEditor::replace(ValueId from, ValueId to) {
  if (from == to) return;
  check(can_replace(from, to), "replace: a name would be lost");
  for (NodeId id : readers_[at(from)]) {
    std::ranges::replace(graph_.node(id).inputs, from, to);
    readers_[at(to)].push_back(id);
  }
  readers_[at(from)].clear();
  if (!is_output(from)) return;
  std::ranges::replace(graph_.outputs, from, to);
  graph_.take_output_role(from, to);
  outputs_[at(from)] = false;
  outputs_[at(to)] = true;
}

void GraphEditor::set_input(NodeId id, size_t i, ValueId value) {
  Node& node = graph_.node(id);
  if (node.inputs.size() <= i) node.inputs.resize(i + 1);
  node.inputs[i] = value;
  if (value) readers_[at(value)].push_back(id);
}

void GraphEditor::set_output(NodeId id, size_t i, ValueId value) {
  graph_.node(id).outputs[i] = value;
  producers_[at(value)] = id;
}

void GraphEditor::remove(NodeId node) { removed_[at(node)] = true; }

NodeId GraphEditor::insert(Node node) {
  if (node.name.empty()) node.name = unique_node_name(node.op);
  const NodeId id = graph_.add_node(std::move(node));
  grow();
  index(id);
  return id;
}

NodeId GraphEditor::insert_before(NodeId position, Node node) {
  const NodeId id = insert(std::move(node));
  before_[position.index].push_back(id);
  return id;
}

NodeId GraphEditor::insert_after(NodeId position, Node node) {
  const NodeId id = insert(std::move(node));
  after_[position.index].push_back(id);
  return id;
}

NodeId GraphEditor::insert_at_front(Node node) {
  const NodeId id = insert(std::move(node));
  front_.push_back(id);
  return id;
}

ValueId GraphEditor::add_value(std::string_view stem, TensorType type) {
  const ValueId id = graph_.add_value(unique_value_name(stem), std::move(type));
  grow();
  return id;
}

ValueId GraphEditor::add_constant(std::string_view stem, Tensor data) {
  const ValueId id = graph_.add_constant(unique_value_name(stem), std::move(data));
  grow();
  return id;
}

std::string GraphEditor::unique_value_name(std::string_view stem) {
  return unique_name(names_->values, stem);
}

std::string GraphEditor::unique_node_name(std::string_view stem) {
  return unique_name(names_->nodes, stem);
}

void GraphEditor::finish() {
  std::vector<NodeId> order;
  std::vector<bool> inserted(removed_.size());
  const auto mark = [&](const std::vector<NodeId>& nodes) {
    for (NodeId id : nodes) inserted[at(id)] = true;
  };
  mark(front_);
  for (const auto& [position, nodes] : before_) mark(nodes);
  for (const auto& [position, nodes] : after_) mark(nodes);
  const auto emit = [&](auto&& self, NodeId id) -> void {  // what was inserted around it, too
    if (const auto it = before_.find(id.index); it != before_.end()) {
      for (NodeId extra : it->second) self(self, extra);
    }
    if (!is_removed(id)) order.push_back(id);
    if (const auto it = after_.find(id.index); it != after_.end()) {
      for (NodeId extra : it->second) self(self, extra);
    }
  };
  for (NodeId id : front_) emit(emit, id);
  for (NodeId id : graph_.nodes()) {
    if (!inserted[at(id)]) emit(emit, id);
  }
  graph_.set_order(std::move(order));
}

}  // namespace nibble
