#include "ops/channel_flow.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "ops/roles.h"

namespace nibble {
namespace {

struct Question {
  const Graph& graph;
  const Node& node;
  ChannelPlace place;
  bool given;  // the place is the node's output
  int64_t width;

  const Shape& shape(ValueId value) const { return graph.value(value).type.shape; }
  bool is_constant(ValueId value) const { return value && graph.value(value).is_constant(); }
  ValueId output() const { return node.output(0); }
  std::optional<std::vector<int64_t>> integers(size_t input) const {
    const ValueId value = node.input(input);
    if (!is_constant(value) || graph.value(value).data.dtype() != DType::i64) return std::nullopt;
    const auto data = graph.value(value).data.data<int64_t>();
    return std::vector<int64_t>(data.begin(), data.end());
  }
};

ChannelFlow refused(std::string why) { return {.others = {}, .why_not = std::move(why)}; }

ChannelFlow mixes_them(const Question& q) {
  return refused(fmt::format("{} does not commute with it", describe(q.node)));
}

ChannelFlow unknown(const Value& value) {
  return refused(fmt::format("the shape of '{}' is not known", value.name));
}

int from_end(int64_t axis, int rank) { return static_cast<int>(axis < 0 ? axis + rank : axis); }

// The axis of `to` along which the same channels lie if its elements are those of `from` in the
// same order; -1: along none.
int reshaped_axis(const Shape& from, int axis, const Shape& to, int64_t width) {
  int64_t inner = 1;
  for (int i = axis + 1; i < from.rank(); ++i) {
    if (from[i] < 0) return -1;
    inner *= from[i];
  }
  int64_t behind = 1;
  for (int i = to.rank() - 1; i >= 0; --i) {
    if (to[i] < 0) return -1;
    if (behind == inner && to[i] % width == 0) return i;
    behind *= to[i];
    if (behind > inner) return -1;
  }
  return -1;
}

// How a moving operator takes the axis of its first input to its output, and back; -1: it does not
// keep the channels together.
using AxisMap = int (*)(const Question& q, int axis, bool back);

int transposed_axis(const Question& q, int axis, bool back) {
  const int rank = q.shape(q.output()).rank();
  std::vector<int64_t> order = q.node.attributes.integers("perm");
  if (order.empty()) {
    for (int i = rank - 1; i >= 0; --i) order.push_back(i);
  }
  if (std::ssize(order) != rank) return -1;
  if (back) return static_cast<int>(order[static_cast<size_t>(axis)]);
  return static_cast<int>(std::ranges::find(order, axis) - order.begin());
}

int gathered_axis(const Question& q, int axis, bool back) {
  const int rank = q.shape(q.node.input(0)).rank();
  const int picked = from_end(q.node.attributes.integer("axis", 0), rank);
  const int more = q.shape(q.node.input(1)).rank() - 1;  // dimensions in the place of one
  if (!back) return axis == picked ? -1 : axis + (axis > picked ? more : 0);
  if (axis < picked) return axis;
  return axis > picked + more ? axis - more : -1;
}

int sliced_axis(const Question& q, int axis, bool /*back*/) {
  const int rank = q.shape(q.output()).rank();
  const auto axes = q.integers(3);
  if (!axes) return -1;
  const bool cut = std::ranges::any_of(*axes, [&](int64_t a) { return from_end(a, rank) == axis; });
  return cut ? -1 : axis;
}

// Broadcast: aligned at the end.
int expanded_axis(const Question& q, int axis, bool back) {
  const int more = q.shape(q.output()).rank() - q.shape(q.node.input(0)).rank();
  return back ? axis - more : axis + more;
}

int concatenated_axis(const Question& q, int axis, bool /*back*/) {
  const int rank = q.shape(q.output()).rank();
  return from_end(q.node.attributes.integer("axis", 0), rank) == axis ? -1 : axis;
}

struct Mover {
  std::string_view op;
  AxisMap axis;
  bool all_inputs = false;
};
constexpr std::array<Mover, 5> kMovers = {{{"Concat", concatenated_axis, true},
                                           {"Expand", expanded_axis},
                                           {"Gather", gathered_axis},
                                           {"Slice", sliced_axis},
                                           {"Transpose", transposed_axis}}};

// Both ends of a node that only moves channels.
ChannelFlow moved(const Question& q, const Mover& mover) {
  const int other = mover.axis(q, q.place.axis, q.given);
  if (other < 0) return mixes_them(q);
  const int in = q.given ? other : q.place.axis, out = q.given ? q.place.axis : other;
  ChannelFlow flow{.others = {{q.output(), out}}, .why_not = {}};
  const size_t inputs = mover.all_inputs ? q.node.inputs.size() : 1;
  for (size_t i = 0; i < inputs; ++i) flow.others.push_back({q.node.input(i), in});
  return flow;
}

ChannelFlow viewed(const Question& q) {
  const ValueId in = q.node.input(0), out = q.output();
  const ValueId other = q.given ? in : out;
  const int axis = reshaped_axis(q.shape(q.place.value), q.place.axis, q.shape(other), q.width);
  if (axis < 0) return mixes_them(q);
  return {.others = {{other, axis}}, .why_not = {}};
}

// An elementwise operator on several operands, which are broadcast. What is the same for all
// channels has no place.
ChannelFlow broadcast(const Question& q) {
  const int rank = q.shape(q.output()).rank();
  const int behind = q.shape(q.place.value).rank() - q.place.axis;  // counted from the end
  ChannelFlow flow{.others = {{q.output(), rank - behind}}, .why_not = {}};
  for (const ValueId input : q.node.inputs) {
    const Shape& shape = q.shape(input);
    const int axis = shape.rank() - behind;
    if (axis < 0 || shape[axis] == 1) continue;
    flow.others.push_back({input, axis});
  }
  return flow;
}

// Times or over one number: only channels on one side.
ChannelFlow scaled(const Question& q) {
  ChannelFlow flow = broadcast(q);
  const auto inputs = std::ranges::count_if(q.node.inputs, [&](ValueId v) {
    return std::ranges::count(flow.others, v, &ChannelPlace::value) > 0;
  });
  const bool over = q.node.op == "Div" &&
                    std::ranges::count(flow.others, q.node.input(1), &ChannelPlace::value) > 0;
  if (inputs > 1 || over) return mixes_them(q);
  return flow;
}

// A matrix product with a constant, or a convolution of one group.
ChannelFlow weighted(const Question& q) {
  const ValueId weight = weight_of(q.node);
  const WeightAxes axes = weight_axes(q.node, q.shape(weight));
  const bool matrix = is_matrix_product(q.node);
  const int rank = q.shape(q.place.value).rank();
  if (axes.groups != 1 || q.node.clamp.any() || q.place.axis != (matrix ? rank - 1 : 1) ||
      q.node.attributes.integer("transA", 0) != 0) {
    return mixes_them(q);
  }
  if (!q.given) return {.others = {{weight, axes.reduction}}, .why_not = {}};
  ChannelFlow flow{.others = {{weight, axes.output}}, .why_not = {}};
  const ValueId bias = bias_of(q.node);
  if (!bias) return flow;
  const int last = q.shape(bias).rank() - 1;
  if (last < 0) return mixes_them(q);
  if (q.shape(bias)[last] != 1) flow.others.push_back({bias, last});
  return flow;
}

// a b = c: a's rows are c's, b's columns are c's, and what is summed over meets.
ChannelFlow multiplied(const Question& q) {
  const ValueId a = q.node.input(0), b = q.node.input(1), c = q.output();
  const ValueId own = q.place.value;
  const int from_last = q.shape(own).rank() - 1 - q.place.axis;
  if (from_last > 1) return mixes_them(q);
  const auto place = [&](ValueId value, int behind) {
    return ChannelPlace{value, q.shape(value).rank() - 1 - behind};
  };
  if (a == b) return mixes_them(q);
  if (q.given) return {.others = {from_last == 0 ? place(b, 0) : place(a, 1)}, .why_not = {}};
  if (own == a) return {.others = {from_last == 0 ? place(b, 1) : place(c, 1)}, .why_not = {}};
  return {.others = {from_last == 0 ? place(c, 0) : place(a, 0)}, .why_not = {}};
}

ChannelFlow normalized(const Question& q) {
  const int rank = q.shape(q.place.value).rank();
  const int axis = from_end(q.node.attributes.integer("axis", -1), rank);
  const bool whole =
      q.place.axis == rank - 1 && axis == rank - 1 && q.shape(q.place.value)[rank - 1] == q.width;
  if (!whole || q.node.output(1) || q.node.output(2)) return mixes_them(q);
  return {.others = {}, .normalizes = true, .why_not = {}};
}

}  // namespace

ChannelFlow channel_flow(const Graph& graph, const Node& node, const ChannelPlace& place,
                         bool given, int64_t width) {
  const Question q{graph, node, place, given, width};
  const bool is_operand =
      given ? node.output(0) == place.value
            : std::ranges::count(node.inputs, place.value) > 0 && node.captures.empty();
  if (!is_operand || !node.domain.empty()) return mixes_them(q);
  for (const ValueId operand : node.inputs) {
    if (operand && q.shape(operand).rank() < 0) return unknown(graph.value(operand));
  }
  if (node.output(0) && q.shape(node.output(0)).rank() < 0)
    return unknown(graph.value(node.output(0)));
  if (node.op == "Add" || node.op == "Sub") return broadcast(q);
  if (node.op == "Mul" || node.op == "Div") return scaled(q);
  if (node.op == "LayerNormalization" || node.op == "RMSNormalization") return normalized(q);
  if (multiplies_activations(graph, node)) return multiplied(q);
  if (is_weighted(node) && q.is_constant(weight_of(node)) &&
      weight_role(node).second == WeightRole::kNone && (given || data_of(node) == place.value)) {
    return weighted(q);
  }
  if (is_view(node, q.shape(node.input(0)))) return viewed(q);
  const auto mover = std::ranges::find(kMovers, node.op, &Mover::op);
  if (mover == kMovers.end()) return mixes_them(q);
  if (!given && !mover->all_inputs && node.input(0) != place.value) return mixes_them(q);
  return moved(q, *mover);
}

}  // namespace nibble
