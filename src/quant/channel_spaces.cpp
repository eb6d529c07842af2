#include "quant/channel_spaces.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <unordered_map>

#include "ops/roles.h"
#include "passes/graph_editor.h"

namespace nibble {
namespace {

// Scale and shift of a normalization, as exporters and the operators' rows have them.
constexpr size_t kScale = 1, kShift = 2;

class Search {
 public:
  Search(const Graph& graph, const GraphEditor& edges) : graph_(graph), edges_(edges) {}

  // The space around a place; nullopt, and the reason in why(), if its channels cannot be mixed.
  std::optional<ChannelSpace> around(const ChannelPlace& start, int64_t width) {
    space_ = {.width = width, .values = {}, .constants = {}, .scales = {}};
    why_.clear();
    add(start);
    for (size_t i = 0; i < space_.values.size() && why_.empty(); ++i) visit(space_.values[i]);
    if (!why_.empty()) return std::nullopt;
    return std::move(space_);
  }
  const std::string& why() const { return why_; }

 private:
  const Value& value(ValueId id) const { return graph_.value(id); }
  bool is_constant(ValueId id) const { return value(id).is_constant(); }
  bool is_own(ValueId id) const {
    return value(id).data.dtype() == DType::f32 && edges_.only_consumer(id).has_value();
  }
  void refuse(std::string why) {
    if (why_.empty()) why_ = std::move(why);
  }

  void add(const ChannelPlace& place) {
    const Shape& shape = value(place.value).type.shape;
    const std::string& name = value(place.value).name;
    if (place.axis < 0 || place.axis >= shape.rank() || shape[place.axis] % space_.width != 0) {
      if (place.axis >= 0 && place.axis < shape.rank() && shape[place.axis] == 1) return;
      refuse(fmt::format("how many channels '{}' has is not known", name));
      return;
    }
    auto& places = is_constant(place.value) ? space_.constants : space_.values;
    const auto known = std::ranges::find(places, place.value, &ChannelPlace::value);
    if (known != places.end()) {
      if (*known != place) refuse(fmt::format("the channels of '{}' lie along two axes", name));
      return;
    }
    if (is_constant(place.value) && !is_own(place.value)) {
      refuse(fmt::format("the constant '{}' is read by more than one node", name));
      return;
    }
    places.push_back(place);
  }

  // `place` is a copy: places are added on the way.
  void visit(const ChannelPlace place) {
    const std::string& name = value(place.value).name;
    if (edges_.is_output(place.value)) refuse(fmt::format("'{}' is a result of the network", name));
    if (edges_.is_captured(place.value)) refuse(fmt::format("a body reads '{}'", name));
    const auto producer = edges_.producer(place.value);
    if (!producer) {
      refuse(fmt::format("'{}' is an input of the network", name));
      return;
    }
    pass(*producer, place, true);
    for (const NodeId reader : edges_.consumers(place.value)) pass(reader, place, false);
  }

  void pass(NodeId id, const ChannelPlace& place, bool given) {
    if (!why_.empty()) return;
    const Node& node = graph_.node(id);
    ChannelFlow flow = channel_flow(graph_, node, place, given, space_.width);
    if (!flow.why_not.empty()) {
      refuse(std::move(flow.why_not));
    } else if (flow.normalizes) {
      pass_normalization(id);
    } else {
      for (const ChannelPlace& other : flow.others) add(other);
    }
  }

  void pass_normalization(NodeId id) {
    const Node& node = graph_.node(id);
    const bool known = std::ranges::count(space_.scales, id, &MovableScales::normalization) > 0;
    if (!known && !is_even(node.input(kScale))) {
      auto movable = movable_scales(id);
      if (!movable) return;
      space_.scales.push_back(std::move(*movable));
    } else if (!known && node.input(kShift)) {
      if (!is_constant(node.input(kShift)))
        return refuse("the shifts of " + describe(node) + " are computed");
      add({node.input(kShift), value(node.input(kShift)).type.shape.rank() - 1});
    }
    for (const ValueId end : {node.inputs[0], node.outputs[0]}) {
      add({end, value(end).type.shape.rank() - 1});
    }
  }

  // A constant of one number, however often.
  bool is_even(ValueId scale) const {
    if (!scale) return true;
    if (!is_constant(scale) || value(scale).data.dtype() != DType::f32) return false;
    const auto data = value(scale).data.data<float>();
    return std::ranges::all_of(data, [&](float x) { return x == data[0]; });
  }

  // A constant of `count` numbers that nobody else reads.
  bool is_vector(ValueId id, int64_t count) const {
    return id && is_constant(id) && is_own(id) && value(id).data.elements() == count &&
           value(id).type.shape[value(id).type.shape.rank() - 1] == count;
  }

  std::optional<MovableScales> movable_scales(NodeId id) {
    const Node& node = graph_.node(id);
    MovableScales scales{.normalization = id, .readers = {}};
    const ValueId shift = node.input(kShift);
    if (!is_vector(node.input(kScale), space_.width) ||
        (shift && !is_vector(shift, space_.width))) {
      refuse(fmt::format("{} has no scales and shifts of its own", describe(node)));
      return std::nullopt;
    }
    const ValueId result = node.outputs[0];
    if (!gather_readers({result, value(result).type.shape.rank() - 1}, node, scales)) {
      return std::nullopt;
    }
    return scales;
  }

  // Follows what moves channels to the products behind it.
  bool gather_readers(const ChannelPlace& place, const Node& normalization, MovableScales& scales) {
    if (edges_.is_output(place.value) || edges_.is_captured(place.value)) {
      refuse(fmt::format("'{}', which {} has scaled channel by channel, is a result",
                         value(place.value).name, describe(normalization)));
      return false;
    }
    return std::ranges::all_of(edges_.consumers(place.value), [&](NodeId id) {
      const Node& reader = graph_.node(id);
      if (is_weighted(reader) && is_matrix_product(reader) && data_of(reader) == place.value &&
          is_constant(weight_of(reader)) && is_own(weight_of(reader))) {
        return add_reader(id, normalization, scales);
      }
      const ChannelFlow flow = channel_flow(graph_, reader, place, false, space_.width);
      if (flow.why_not.empty() && !flow.normalizes && moves_alone(reader, place, flow)) {
        return std::ranges::all_of(flow.others, [&](const ChannelPlace& other) {
          return other.value == place.value || gather_readers(other, normalization, scales);
        });
      }
      refuse(fmt::format("{} scales channel by channel, and {} reads the result",
                         describe(normalization), describe(reader)));
      return false;
    });
  }

  // The node has no other operand with channels.
  bool moves_alone(const Node& node, const ChannelPlace& place, const ChannelFlow& flow) const {
    return std::ranges::all_of(flow.others, [&](const ChannelPlace& other) {
      return other.value == place.value || other.value == node.output(0);
    });
  }

  bool add_reader(NodeId id, const Node& normalization, MovableScales& scales) {
    const Node& node = graph_.node(id);
    ScaledReader reader{.product = id, .bias = {}};
    if (normalization.input(kShift)) {
      reader.bias = bias_behind(id);
      if (!reader.bias) {
        refuse(fmt::format("{} has no bias that could take the shifts of {}", describe(node),
                           describe(normalization)));
        return false;
      }
    }
    scales.readers.push_back(reader);
    return true;
  }

  ValueId bias_behind(NodeId id) const {
    const Node& node = graph_.node(id);
    const Shape& weight = value(weight_of(node)).type.shape;
    const int64_t outputs = weight[weight_axes(node, weight).output];
    if (bias_of(node)) return is_vector(bias_of(node), outputs) ? bias_of(node) : ValueId{};
    const auto only = edges_.only_consumer(node.outputs[0]);
    if (!only || graph_.node(*only).op != "Add") return {};
    for (const ValueId input : graph_.node(*only).inputs) {
      if (input != node.outputs[0] && is_vector(input, outputs)) return input;
    }
    return {};
  }

  const Graph& graph_;
  const GraphEditor& edges_;
  ChannelSpace space_;
  std::string why_;
};

class Finder {
 public:
  Finder(const Graph& graph, const GraphEditor& edges) : graph_(graph), search_(graph, edges) {}

  ChannelSpaces find() && {
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      const ValueId data = node.input(0);
      if (data && is_normalization(node)) try_around(data, true);
      if (!multiplies_activations(graph_, node)) continue;
      for (const ValueId operand : {node.inputs[0], node.inputs[1]}) try_around(operand, false);
    }
    return std::move(result_);
  }

 private:
  // Of all channels, the last axis.
  bool is_normalization(const Node& node) const {
    const Shape& shape = graph_.value(node.input(0)).type.shape;
    if (shape.rank() < 2 || shape[shape.rank() - 1] < 2 || !node.output(0)) return false;
    const int last = shape.rank() - 1;
    return channel_flow(graph_, node, {node.input(0), last}, false, shape[last]).normalizes;
  }

  void try_around(ValueId value, bool is_sum) {
    const Shape& shape = graph_.value(value).type.shape;
    const int last = shape.rank() - 1;
    if (last < 0 || shape[last] < 2 || seen_.contains({value, last})) return;
    seen_.insert({value, last});
    auto space = search_.around({value, last}, shape[last]);
    if (!space) {
      if (is_sum) result_.fixed.push_back({graph_.value(value).name, search_.why()});
      return;
    }
    for (const ChannelPlace& place : space->values) seen_.insert({place.value, place.axis});
    result_.spaces.push_back(std::move(*space));
  }

  const Graph& graph_;
  Search search_;
  std::set<std::pair<ValueId, int>> seen_;
  ChannelSpaces result_;
};

// What is concatenated has the dimensions of the result but one.
void complete_concatenated(Graph& graph) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const OpRow* row = find_op(node.op, node.domain);
    if (row == nullptr || row->layout != LayoutRole::concat) continue;
    Shape shape = graph.value(node.outputs[0]).type.shape;
    int64_t axis = node.attributes.integer("axis", 0);
    if (axis < 0) axis += shape.rank();
    if (axis < 0 || axis >= shape.rank()) continue;
    shape[static_cast<int>(axis)] = Shape::kUnknown;
    for (const ValueId input : node.inputs) {
      Value& value = graph.value(input);
      if (value.type.shape.rank() < 0) value.type.shape = shape;
    }
  }
}

}  // namespace

ChannelSpaces find_channel_spaces(const Graph& graph, const RangeReport& ranges) {
  Graph shaped = graph;  // constants are shared
  std::unordered_map<std::string_view, const Shape*> measured;
  for (const TensorRange& range : ranges.tensors) {
    if (!range.is_weight) measured[range.name] = &range.shape;
  }
  for (int32_t i = 0; i < shaped.value_count(); ++i) {
    Value& value = shaped.value({i});
    const auto shape = measured.find(value.name);
    if (value.type.shape.rank() < 0 && shape != measured.end()) value.type.shape = *shape->second;
  }
  complete_concatenated(shaped);
  return Finder(shaped, GraphEditor(shaped)).find();
}

}  // namespace nibble
