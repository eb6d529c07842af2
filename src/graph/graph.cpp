#include "nibble/graph.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"

namespace nibble {
namespace {

bool reads(const Node& node, ValueId value) {
  return std::ranges::find(node.inputs, value) != node.inputs.end() ||
         std::ranges::find(node.captures, value) != node.captures.end();
}

template <typename Body>
void for_each_read(const Node& node, Body&& body) {
  for (ValueId value : node.inputs) {
    if (value) body(value);
  }
  for (ValueId value : node.captures) body(value);
}

}  // namespace

std::string describe(const Node& node) {
  return fmt::format("node {} ({}{}{})",
                     node.name.empty() ? "without a name" : "'" + node.name + "'", node.domain,
                     node.domain.empty() ? "" : "::", node.op);
}

ValueId Graph::add_value(std::string value_name, TensorType type) {
  values_.push_back(
      {.name = std::move(value_name), .type = std::move(type), .data = {}, .dim_names = {}});
  return {static_cast<int32_t>(values_.size()) - 1};
}

ValueId Graph::add_constant(std::string value_name, Tensor data) {
  check(!data.empty(), "a constant needs data");
  const ValueId id =
      add_value(std::move(value_name), {.dtype = data.dtype(), .shape = data.shape(), .quant = {}});
  value(id).data = std::move(data);
  return id;
}

ValueId Graph::add_constant(std::string value_name, Tensor codes, QuantParams quant) {
  check(codes.dtype() == quant.storage, "quantized constant: the data is not in its storage type");
  const ValueId id =
      add_value(std::move(value_name),
                {.dtype = DType::f32, .shape = codes.shape(), .quant = std::move(quant)});
  value(id).data = std::move(codes);
  return id;
}

NodeId Graph::add_node(Node node) {
  nodes_.push_back(std::move(node));
  order_.push_back({static_cast<int32_t>(nodes_.size()) - 1});
  return order_.back();
}

NodeId Graph::insert_node(NodeId position, Node node) {
  const auto at = std::ranges::find(order_, position);
  check(at != order_.end(), "insert_node: the position is not a node of this graph");
  nodes_.push_back(std::move(node));
  const NodeId id{static_cast<int32_t>(nodes_.size()) - 1};
  order_.insert(at, id);
  return id;
}

void Graph::remove_node(NodeId id) {
  const auto at = std::ranges::find(order_, id);
  check(at != order_.end(), "remove_node: not a node of this graph");
  order_.erase(at);
}

void Graph::set_order(std::vector<NodeId> order) {
  std::vector<bool> seen(nodes_.size(), false);
  for (NodeId id : order) {
    check(id.index >= 0 && static_cast<size_t>(id.index) < nodes_.size() &&
              !seen[static_cast<size_t>(id.index)],
          "set_order: not a node of this graph, or listed twice");
    seen[static_cast<size_t>(id.index)] = true;
  }
  order_ = std::move(order);
}

std::optional<NodeId> Graph::producer(ValueId value) const {
  for (NodeId id : order_) {
    if (std::ranges::find(node(id).outputs, value) != node(id).outputs.end()) return id;
  }
  return std::nullopt;
}

std::vector<NodeId> Graph::consumers(ValueId value) const {
  std::vector<NodeId> found;
  for (NodeId id : order_) {
    if (reads(node(id), value)) found.push_back(id);
  }
  return found;
}

std::optional<ValueId> Graph::find_value(std::string_view value_name) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].name == value_name) return ValueId{static_cast<int32_t>(i)};
  }
  return std::nullopt;
}

bool Graph::is_input(ValueId value) const {
  return std::ranges::find(inputs, value) != inputs.end();
}
bool Graph::is_output(ValueId value) const {
  return std::ranges::find(outputs, value) != outputs.end();
}

void Graph::replace_uses(ValueId from, ValueId to) {
  check(from && to, "replace_uses needs two values");
  if (from == to) return;
  for (NodeId id : order_) {
    std::ranges::replace(node(id).inputs, from, to);
    std::ranges::replace(node(id).captures, from, to);
  }
  if (!is_output(from)) return;
  std::ranges::replace(outputs, from, to);
  if (!is_input(to)) take_output_role(from, to);
}

void Graph::take_output_role(ValueId from_id, ValueId to_id) {
  Value& from = value(from_id);
  Value& to = value(to_id);
  std::swap(from.name, to.name);
  notes.exchange_declarations(from_id, to_id);
  if (to.is_constant()) return;
  if (to.type.dtype == DType::undefined) to.type.dtype = from.type.dtype;
  if (!to.type.shape.has_rank()) to.type.shape = from.type.shape;
  if (to.dim_names.empty() && to.type.shape.rank() == from.type.shape.rank()) {
    to.dim_names = from.dim_names;
  }
}

void Graph::sort() {
  std::unordered_map<int32_t, NodeId> producers;
  for (NodeId id : order_) {
    for (ValueId out : node(id).outputs) producers.emplace(out.index, id);
  }
  // Kahn's algorithm, always taking the earliest ready node, so that a sorted graph stays as it is.
  std::unordered_map<int32_t, int> waiting;
  std::unordered_map<int32_t, std::vector<NodeId>> readers;
  for (NodeId id : order_) {
    for_each_read(node(id), [&](ValueId value) {
      const auto made_by = producers.find(value.index);
      if (made_by == producers.end()) return;
      ++waiting[id.index];
      readers[made_by->second.index].push_back(id);
    });
  }
  std::unordered_map<int32_t, size_t> rank;
  for (size_t i = 0; i < order_.size(); ++i) rank[order_[i].index] = i;
  const auto later = [&](NodeId a, NodeId b) { return rank[a.index] > rank[b.index]; };
  std::vector<NodeId> ready;
  for (NodeId id : order_) {
    if (waiting[id.index] == 0) ready.push_back(id);
  }
  std::ranges::make_heap(ready, later);
  std::vector<NodeId> sorted;
  while (!ready.empty()) {
    std::ranges::pop_heap(ready, later);
    const NodeId id = ready.back();
    ready.pop_back();
    sorted.push_back(id);
    for (NodeId reader : readers[id.index]) {
      if (--waiting[reader.index] > 0) continue;
      ready.push_back(reader);
      std::ranges::push_heap(ready, later);
    }
  }
  if (sorted.size() != order_.size()) {
    for (NodeId id : order_) {
      if (waiting[id.index] > 0) {
        fail(ErrorCode::invalid_model, "{} lies on a cycle: it needs its own result",
             describe(node(id)));
      }
    }
  }
  order_ = std::move(sorted);
}

void Graph::prune() {
  std::vector<bool> used(values_.size(), false);
  for (ValueId value : outputs) used[static_cast<size_t>(value.index)] = true;
  for (ValueId value : inputs) used[static_cast<size_t>(value.index)] = true;
  std::vector<NodeId> kept;
  for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
    const Node& candidate = node(*it);
    const bool needed = std::ranges::any_of(candidate.outputs, [&](ValueId value) {
      return value && used[static_cast<size_t>(value.index)];
    });
    if (!needed) continue;
    kept.push_back(*it);
    for (ValueId value : candidate.outputs) {
      if (value) used[static_cast<size_t>(value.index)] = true;
    }
    for_each_read(candidate, [&](ValueId value) { used[static_cast<size_t>(value.index)] = true; });
  }
  std::ranges::reverse(kept);
  order_ = std::move(kept);
  for (size_t i = 0; i < values_.size(); ++i) {
    if (used[i]) continue;
    values_[i].data = {};
    values_[i].name.clear();  // free for others
  }
}

namespace {

// Scales that divide, codes that their storage holds.
bool is_sound(const QuantParams& quant) {
  const bool stored = is_integer(quant.storage) && bits_of(quant.storage) <= 32;
  if (!stored || quant.scale.empty() || quant.zero_point.size() != quant.scale.size()) return false;
  const int64_t lowest = lowest_of(quant.storage), highest = highest_of(quant.storage);
  return quant.qmin <= quant.qmax && quant.qmin >= lowest && quant.qmax <= highest &&
         std::ranges::all_of(quant.scale, [](float s) { return s > 0 && std::isfinite(s); }) &&
         std::ranges::all_of(quant.zero_point,
                             [&](int32_t z) { return z >= lowest && z <= highest; });
}

}  // namespace

void Graph::validate() const {
  const auto known = [&](ValueId value) { return value.index >= 0 && value.index < value_count(); };
  std::vector<bool> available(values_.size(), false);
  for (size_t i = 0; i < values_.size(); ++i) available[i] = values_[i].is_constant();
  for (ValueId value : inputs) {
    check(known(value), "graph input is not a value of the graph");
    available[static_cast<size_t>(value.index)] = true;
  }
  for (NodeId id : order_) {
    const Node& reader = node(id);
    for_each_read(reader, [&](ValueId value) {
      check(known(value), "node input is not a value of the graph");
      if (!available[static_cast<size_t>(value.index)]) {
        fail(ErrorCode::invalid_model, "{} reads '{}', which nothing computes before it",
             describe(reader), this->value(value).name);
      }
    });
    for (ValueId value : reader.outputs) {
      if (!value) continue;
      check(known(value), "node output is not a value of the graph");
      if (available[static_cast<size_t>(value.index)]) {
        fail(ErrorCode::invalid_model, "{} computes '{}', which already has a value",
             describe(reader), this->value(value).name);
      }
      available[static_cast<size_t>(value.index)] = true;
    }
  }
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < values_.size(); ++i) {
    const Value& value = values_[i];
    if (!available[i]) continue;
    if (!names.insert(value.name).second) {
      fail(ErrorCode::invalid_model, "two values are both named '{}'", value.name);
    }
    if (!value.type.quant) continue;
    if (!is_sound(*value.type.quant)) {
      fail(ErrorCode::invalid_model,
           "the type {} of '{}' makes no sense: scales must be finite and above 0, codes and zero "
           "points must fit the storage type",
           to_string(value.type), value.name);
    }
    if (!value.is_constant()) continue;
    const auto groups = static_cast<size_t>(quant_groups(*value.type.quant, value.type.shape));
    if (value.data.dtype() != value.type.quant->storage ||
        value.type.quant->scale.size() != groups || value.type.quant->zero_point.size() != groups) {
      fail(ErrorCode::invalid_model, "quantized constant '{}' does not match its type {}",
           value.name, to_string(value.type));
    }
  }
  for (ValueId value : outputs) {
    check(known(value), "graph output is not a value of the graph");
    if (!available[static_cast<size_t>(value.index)]) {
      fail(ErrorCode::invalid_model, "output '{}' is never computed", this->value(value).name);
    }
  }
}

int Graph::opset() const {
  const auto it = opsets.find("");
  return it == opsets.end() ? 21 : static_cast<int>(it->second);
}

}  // namespace nibble
