#include "quant/smoothing_sites.h"

#include <algorithm>
#include <array>

#include "ops/roles.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, 2> kNormalizations = {"LayerNormalization",
                                                             "RMSNormalization"};
// f(s x) = s f(x) for s > 0.
constexpr std::array<std::string_view, 2> kHomogeneous = {"Relu", "LeakyRelu"};

}  // namespace

bool SmoothingSites::is_alone(ValueId value) const {
  return edges_.only_consumer(value).has_value();
}

// A constant of reals that nobody else reads.
bool SmoothingSites::is_own(ValueId value) const {
  return value && graph_.value(value).is_constant() &&
         graph_.value(value).data.dtype() == DType::f32 && is_alone(value);
}

// And the channels lie where the node has its own, in what it reads and gives.
bool SmoothingSites::has_own_weight(const Node& node, const Channels& channels) const {
  return is_weighted(node) && !stores_weight(node) &&
         weight_role(node).second == WeightRole::kNone && is_own(weight_of(node)) &&
         graph_.value(weight_of(node)).type.shape.rank() >= 2 &&
         channels.axis == (is_matrix_product(node) ? channels.rank - 1 : 1) &&
         node.attributes.integer("transA", 0) == 0;
}

std::optional<SmoothingReader> SmoothingSites::reader(NodeId id, ValueId value,
                                                      const Channels& channels) const {
  const Node& node = graph_.node(id);
  if (!has_own_weight(node, channels) || data_of(node) != value) return {};
  const ValueId weight = weight_of(node);
  const WeightIndex index(node, graph_.value(weight).type.shape);
  if (index.inputs() != channels.count) return {};
  return SmoothingReader{id, {weight, [index](int64_t element) { return index.input(element); }}};
}

// A constant of one number per channel, as the value is broadcast.
bool SmoothingSites::add_vector(ValueId constant, const Channels& channels,
                                std::vector<ChannelConstant>& to) const {
  if (!is_own(constant)) return false;
  const Shape& shape = graph_.value(constant).type.shape;
  if (shape.elements() != channels.count || shape.rank() > channels.rank) return false;
  const int at = channels.axis - (channels.rank - shape.rank());
  if (at < 0 || shape[at] != channels.count) return false;
  to.push_back({constant, [](int64_t element) { return element; }});
  return true;
}

bool SmoothingSites::add_producers(ValueId value, const Channels& channels,
                                   std::vector<ChannelConstant>& to) const {
  const std::optional<NodeId> producer = edges_.producer(value);
  if (!producer) return false;
  const Node& node = graph_.node(*producer);
  if (!node.domain.empty() || node.output(0) != value) return false;
  if (std::ranges::count(kHomogeneous, node.op) > 0) {
    return is_alone(node.input(0)) && add_producers(node.input(0), channels, to);
  }
  if (std::ranges::count(kNormalizations, node.op) > 0) {
    return channels.axis == channels.rank - 1 && add_vector(node.input(1), channels, to) &&
           (!node.input(2) || add_vector(node.input(2), channels, to));
  }
  if (node.op == "Mul" || node.op == "Add") {
    const size_t constant = graph_.value(node.input(0)).is_constant() ? 0 : 1;
    const ValueId other = node.input(1 - constant);
    if (!add_vector(node.input(constant), channels, to)) return false;
    return node.op == "Mul" || (is_alone(other) && add_producers(other, channels, to));
  }
  if (!has_own_weight(node, channels) || node.clamp.any()) return false;
  const ValueId weight = weight_of(node);
  const WeightIndex index(node, graph_.value(weight).type.shape);
  if (index.outputs() != channels.count) return false;
  to.push_back({weight, [index](int64_t element) { return index.output(element); }});
  const ValueId bias = bias_of(node);
  if (!bias) return true;
  if (!is_own(bias) || graph_.value(bias).data.elements() != channels.count) return false;
  to.push_back({bias, [](int64_t element) { return element; }});
  return true;
}

std::optional<SmoothingSite> SmoothingSites::find(const TensorRange& range) const {
  const auto id = graph_.find_value(range.name);
  if (!id || range.is_weight || !range.unusable.empty() || range.channels.size() < 2) return {};
  const Channels channels{.count = static_cast<int64_t>(range.channels.size()),
                          .rank = range.shape.rank(),
                          .axis = range.channel_axis};
  SmoothingSite site{.value = *id, .before = {}, .readers = {}};
  bool all = !edges_.is_output(*id) && !edges_.is_captured(*id), products = true;
  for (const NodeId node : edges_.consumers(*id)) {
    auto layer = reader(node, *id, channels);
    all = all && layer;
    if (!layer) continue;
    products = products && is_matrix_product(graph_.node(node));
    site.readers.push_back(std::move(*layer));
  }
  if (site.readers.empty()) return {};
  if (!all || !add_producers(*id, channels, site.before)) site.before.clear();
  // Between convolutions data stay codes, which a multiplication in reals would interrupt.
  if (!site.absorbed() && !products) return {};
  return site;
}

}  // namespace nibble
