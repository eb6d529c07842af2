#include "quant/smoothing.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/check.h"
#include "quant/smoothing_noise.h"
#include "quant/smoothing_sites.h"

namespace nibble {
namespace {

constexpr double kMostUneven = 1 << 10;  // factors beyond it are for channels that hardly live
// Evened out, channels have no room left for samples that are unlike those of the calibration: a
// site stays as it is where less is gained (dB).
constexpr double kLeastGain = 2;

// What is done to a site.
struct Step {
  SmoothingSite site;
  std::vector<double> factor;  // by which the channels are divided
  SmoothedActivation said;
};

// By which the channels are to be divided; empty if none of them lives.
std::vector<double> factors(const TensorRange& range, std::span<const double> weight,
                            double share) {
  const size_t count = range.channels.size();
  std::vector<double> result(count, 1);
  std::vector<bool> live(count, false);
  double logs = 0;
  for (size_t j = 0; j < count; ++j) {
    const Moments& channel = range.channels[j];
    const double reach = std::max(std::abs(static_cast<double>(channel.minimum)),
                                  std::abs(static_cast<double>(channel.maximum)));
    live[j] = reach > 0 && weight[j] > 0;
    if (!live[j]) continue;
    result[j] = std::pow(reach, share) / std::pow(weight[j], 1 - share);
    logs += std::log(result[j]);
  }
  const auto alive = std::ranges::count(live, true);
  if (alive == 0) return {};
  const double mean = std::exp(logs / static_cast<double>(alive));
  for (size_t j = 0; j < count; ++j) {
    if (live[j]) result[j] = std::clamp(result[j] / mean, 1.0, kMostUneven);
  }
  return result;
}

double decibels(double ratio) { return 10 * std::log10(ratio); }

// nullopt if the site stays as it is.
std::optional<Step> plan_step(SmoothingSite site, const SmoothingNoise& noise,
                              const TensorRange& range, const Smoothing& smoothing) {
  const double before = noise.as_it_is();
  const bool absorbed = site.absorbed();
  Step step{
      .site = std::move(site), .factor = {}, .said = {.name = range.name, .absorbed = absorbed}};
  const auto attempt = [&](double share) {
    std::vector<double> factor = factors(range, noise.largest_weights(), share);
    if (factor.empty()) return;
    const double after = noise.divided(factor);
    const double gain = before > 0 && after > 0 ? decibels(before / after) : 0;
    if (!step.factor.empty() && gain <= step.said.gain_db) return;
    step.factor = std::move(factor);
    step.said.share = share;
    step.said.gain_db = gain;
  };
  if (!smoothing.by_noise) {
    if (!step.said.absorbed) return {};
    attempt(smoothing.share);
    return step.factor.empty() ? std::nullopt : std::optional(std::move(step));
  }
  for (int tenths = 1; tenths <= 10; ++tenths) attempt(tenths / 10.0);
  if (step.factor.empty() || step.said.gain_db < kLeastGain) return {};
  return step;
}

std::optional<Step> step_for(const Graph& graph, const SmoothingSites& sites,
                             const TensorRange& range, const Smoothing& smoothing,
                             const SmoothingLayers& layers) {
  std::optional<SmoothingSite> site = sites.find(range);
  if (!site || (!smoothing.by_noise && !site->absorbed())) return {};
  const SmoothingNoise noise(graph, *site, range, layers.plan, layers.weight_block_size);
  return plan_step(std::move(*site), noise, range, smoothing);
}

void scale(Graph& graph, const ChannelConstant& what, std::span<const double> factor, bool divide) {
  Tensor scaled = graph.value(what.constant).data.clone();
  const std::span<float> data = scaled.data<float>();
  for (size_t e = 0; e < data.size(); ++e) {
    const double by = factor[static_cast<size_t>(what.channel(static_cast<int64_t>(e)))];
    data[e] = static_cast<float>(divide ? static_cast<double>(data[e]) / by
                                        : static_cast<double>(data[e]) * by);
  }
  graph.value(what.constant).data = std::move(scaled);
}

// The value over the factors, for the site's readers.
void insert_division(Graph& graph, GraphEditor& edges, const Step& step) {
  const Value& value = graph.value(step.site.value);
  const std::string name = value.name;
  const TensorType type = value.type;
  Tensor inverse(DType::f32, {static_cast<int64_t>(step.factor.size())});
  std::ranges::transform(step.factor, inverse.data<float>().begin(),
                         [](double factor) { return static_cast<float>(1 / factor); });
  const ValueId evened = edges.add_value(name + "_evened", type);
  Node node{.op = "Mul", .domain = {}, .name = edges.unique_node_name(name + "_evened")};
  node.inputs = {step.site.value, edges.add_constant(name + "_evening", std::move(inverse))};
  node.outputs = {evened};
  if (const auto producer = edges.producer(step.site.value)) {
    edges.insert_after(*producer, std::move(node));
  } else {
    edges.insert_at_front(std::move(node));
  }
  for (const SmoothingReader& reader : step.site.readers) {
    const Node& layer = graph.node(reader.node);
    for (size_t i = 0; i < layer.inputs.size(); ++i) {
      if (layer.inputs[i] == step.site.value) edges.set_input(reader.node, i, evened);
    }
  }
}

}  // namespace

std::vector<SmoothedActivation> smooth_activations(Graph& graph, const RangeReport& ranges,
                                                   const Smoothing& smoothing,
                                                   const SmoothingLayers& layers) {
  check(smoothing.any() && smoothing.share <= 1, "a share of the differences");
  std::vector<SmoothedActivation> changed;
  GraphEditor edges(graph);
  const SmoothingSites sites(graph, edges);
  for (const TensorRange& range : ranges.tensors) {
    const std::optional<Step> step = step_for(graph, sites, range, smoothing, layers);
    if (!step) continue;
    for (const ChannelConstant& one : step->site.before) scale(graph, one, step->factor, true);
    for (const SmoothingReader& one : step->site.readers) {
      scale(graph, one.weight, step->factor, false);
    }
    if (!step->site.absorbed()) insert_division(graph, edges, *step);
    changed.push_back(step->said);
  }
  edges.finish();
  return changed;
}

std::vector<SmoothedActivation> smoothing_gains(const Graph& graph, const RangeReport& ranges,
                                                const SmoothingLayers& layers) {
  Graph same = graph;  // constants are shared
  const GraphEditor edges(same);
  const SmoothingSites sites(same, edges);
  std::vector<SmoothedActivation> gains;
  for (const TensorRange& range : ranges.tensors) {
    if (const auto step = step_for(same, sites, range, {.by_noise = true}, layers)) {
      gains.push_back(step->said);
    }
  }
  return gains;
}

}  // namespace nibble
