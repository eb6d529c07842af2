#include "quant/smoothing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/graph_editor.h"

namespace nibble {
namespace {

constexpr std::array<std::string_view, 2> kNormalizations = {"LayerNormalization",
                                                             "RMSNormalization"};
// f(s x) = s f(x) for s > 0.
constexpr std::array<std::string_view, 2> kHomogeneous = {"Relu", "LeakyRelu"};
constexpr double kMostUneven = 1 << 10;  // factors beyond it are for channels that hardly live

// A constant, and the channel of each of its elements.
struct Scaled {
  ValueId constant;
  std::function<int64_t(int64_t element)> channel;
};

struct Site {
  ValueId value;
  std::vector<Scaled> before, behind;
};

class Finder {
 public:
  Finder(const Graph& graph, const GraphEditor& edges) : graph_(graph), edges_(edges) {}

  // nullopt if the value is not a site.
  std::optional<Site> site(const TensorRange& range) const {
    const auto id = graph_.find_value(range.name);
    if (!id || range.is_weight || !range.unusable.empty() || range.channels.size() < 2) return {};
    Site site{.value = *id, .before = {}, .behind = {}};
    channels_ = static_cast<int64_t>(range.channels.size());
    rank_ = range.shape.rank();
    axis_ = range.channel_axis;
    const std::vector<NodeId> readers = edges_.consumers(*id);
    if (readers.empty() || edges_.is_output(*id) || edges_.is_captured(*id)) return {};
    for (const NodeId reader : readers) {
      if (!add_reader(reader, *id, site.behind)) return {};
    }
    if (!add_producers(*id, site.before)) return {};
    return site;
  }

 private:
  bool is_alone(ValueId value) const { return edges_.only_consumer(value).has_value(); }
  // A constant of reals that nobody else reads.
  bool is_own(ValueId value) const {
    return value && graph_.value(value).is_constant() &&
           graph_.value(value).data.dtype() == DType::f32 && is_alone(value);
  }
  // Along which axis the node's channels lie in what it reads and gives.
  bool fits_axis(const Node& node) const {
    return axis_ == (is_matrix_product(node) ? rank_ - 1 : 1);
  }
  bool has_own_weight(const Node& node) const {
    return is_weighted(node) && !stores_weight(node) &&
           weight_role(node).second == WeightRole::kNone && is_own(weight_of(node)) &&
           graph_.value(weight_of(node)).type.shape.rank() >= 2 && fits_axis(node) &&
           node.attributes.integer("transA", 0) == 0;
  }

  bool add_reader(NodeId id, ValueId value, std::vector<Scaled>& to) const {
    const Node& node = graph_.node(id);
    if (!has_own_weight(node) || data_of(node) != value) return false;
    const ValueId weight = weight_of(node);
    const WeightIndex index(node, graph_.value(weight).type.shape);
    if (index.inputs() != channels_) return false;
    to.push_back({weight, [index](int64_t element) { return index.input(element); }});
    return true;
  }

  // A constant of one number per channel, as the value is broadcast.
  bool add_vector(ValueId constant, std::vector<Scaled>& to) const {
    if (!is_own(constant)) return false;
    const Shape& shape = graph_.value(constant).type.shape;
    if (shape.elements() != channels_ || shape.rank() > rank_) return false;
    const int at = axis_ - (rank_ - shape.rank());
    if (at < 0 || shape[at] != channels_) return false;
    to.push_back({constant, [](int64_t element) { return element; }});
    return true;
  }

  // What makes the value smaller by as much, channel by channel, if it is divided.
  bool add_producers(ValueId value, std::vector<Scaled>& to) const {
    const std::optional<NodeId> producer = edges_.producer(value);
    if (!producer) return false;
    const Node& node = graph_.node(*producer);
    if (!node.domain.empty() || node.output(0) != value) return false;
    if (std::ranges::count(kHomogeneous, node.op) > 0) {
      return is_alone(node.input(0)) && add_producers(node.input(0), to);
    }
    if (std::ranges::count(kNormalizations, node.op) > 0) {
      return axis_ == rank_ - 1 && add_vector(node.input(1), to) &&
             (!node.input(2) || add_vector(node.input(2), to));
    }
    if (node.op == "Mul" || node.op == "Add") {
      const size_t constant = graph_.value(node.input(0)).is_constant() ? 0 : 1;
      const ValueId other = node.input(1 - constant);
      if (!add_vector(node.input(constant), to)) return false;
      return node.op == "Mul" || (is_alone(other) && add_producers(other, to));
    }
    if (!has_own_weight(node) || node.clamp.any()) return false;
    const ValueId weight = weight_of(node);
    const WeightIndex index(node, graph_.value(weight).type.shape);
    if (index.outputs() != channels_) return false;
    to.push_back({weight, [index](int64_t element) { return index.output(element); }});
    const ValueId bias = bias_of(node);
    if (!bias) return true;
    if (!is_own(bias) || graph_.value(bias).data.elements() != channels_) return false;
    to.push_back({bias, [](int64_t element) { return element; }});
    return true;
  }

  const Graph& graph_;
  const GraphEditor& edges_;
  mutable int64_t channels_ = 0;  // of the value that is looked at
  mutable int rank_ = 0, axis_ = 0;
};

// By which the channels are to be divided; empty if they need not be.
std::vector<double> factors(const Graph& graph, const Site& site, const TensorRange& range,
                            double share) {
  const size_t count = range.channels.size();
  std::vector<double> reach(count), weight(count), result(count, 1);
  for (size_t j = 0; j < count; ++j) {
    const Moments& channel = range.channels[j];
    reach[j] = std::max(std::abs(static_cast<double>(channel.minimum)),
                        std::abs(static_cast<double>(channel.maximum)));
  }
  for (const Scaled& reader : site.behind) {
    const std::span<const float> data = graph.value(reader.constant).data.data<float>();
    for (size_t e = 0; e < data.size(); ++e) {
      double& largest = weight[static_cast<size_t>(reader.channel(static_cast<int64_t>(e)))];
      largest = std::max(largest, std::abs(static_cast<double>(data[e])));
    }
  }
  double logs = 0;
  int64_t live = 0;
  for (size_t j = 0; j < count; ++j) {
    if (!(reach[j] > 0) || !(weight[j] > 0)) continue;
    result[j] = std::pow(reach[j], share) / std::pow(weight[j], 1 - share);
    logs += std::log(result[j]);
    ++live;
  }
  if (live == 0) return {};
  const double mean = std::exp(logs / static_cast<double>(live));
  for (size_t j = 0; j < count; ++j) {
    if (!(reach[j] > 0) || !(weight[j] > 0)) continue;
    result[j] = std::clamp(result[j] / mean, 1 / kMostUneven, kMostUneven);
  }
  return result;
}

void scale(Graph& graph, const Scaled& what, std::span<const double> factor, bool divide) {
  Tensor scaled = graph.value(what.constant).data.clone();
  const std::span<float> data = scaled.data<float>();
  for (size_t e = 0; e < data.size(); ++e) {
    const double by = factor[static_cast<size_t>(what.channel(static_cast<int64_t>(e)))];
    data[e] = static_cast<float>(divide ? static_cast<double>(data[e]) / by
                                        : static_cast<double>(data[e]) * by);
  }
  graph.value(what.constant).data = std::move(scaled);
}

}  // namespace

std::vector<std::string> smooth_activations(Graph& graph, const RangeReport& ranges, double share) {
  check(share > 0 && share <= 1, "a share of the differences");
  std::vector<std::string> changed;
  GraphEditor edges(graph);
  const Finder finder(graph, edges);
  for (const TensorRange& range : ranges.tensors) {
    const std::optional<Site> site = finder.site(range);
    if (!site) continue;
    const std::vector<double> factor = factors(graph, *site, range, share);
    if (factor.empty()) continue;
    for (const Scaled& one : site->before) scale(graph, one, factor, true);
    for (const Scaled& one : site->behind) scale(graph, one, factor, false);
    changed.push_back(range.name);
  }
  edges.finish();
  return changed;
}

}  // namespace nibble
