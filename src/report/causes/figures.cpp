#include "report/causes/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/grid.h"
#include "report/causes/evened.h"
#include "tensor/convert.h"

namespace nibble {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTail = 0.001;  // on each side of the bulk

double reach_of(const Moments& moments) {
  return std::max(
      {0.0, -static_cast<double>(moments.minimum), static_cast<double>(moments.maximum)});
}

double median_of(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

// Squared error of the values beyond [low, high], each bin taken at its middle; and their count.
std::pair<double, double> clipping(const Histogram& histogram, double low, double high) {
  double error = 0, count = 0;
  double middle = histogram.low() + histogram.bin_width() / 2;
  for (const int64_t here : histogram.counts()) {
    const double over = std::max({0.0, low - middle, middle - high});
    if (over > 0) {
      error += static_cast<double>(here) * over * over;
      count += static_cast<double>(here);
    }
    middle += histogram.bin_width();
  }
  return {error, count};
}

std::optional<TensorFigures> activation_figures(const TensorRange& range,
                                                const QuantParams& quant) {
  if (!range.unusable.empty() || range.total.count == 0) return std::nullopt;
  if (quant.granularity != Granularity::per_tensor || quant.scale.size() != 1) return std::nullopt;
  const BitCodes codes{quant.storage, quant.qmin, quant.qmax};
  const Grid grid{quant.scale[0], quant.zero_point.empty() ? 0 : quant.zero_point[0]};
  const double noise = rounding_error(range.total, range.histogram, grid, codes);
  const double step = grid.scale;
  TensorFigures figures{.name = range.name,
                        .bits = quant.bits(),
                        .sqnr_db = sqnr_db(range.total.power(), noise),
                        .low = step * (codes.qmin - grid.zero_point),
                        .high = step * (codes.qmax - grid.zero_point),
                        .step = step,
                        .minimum = range.total.minimum,
                        .maximum = range.total.maximum,
                        .symmetric = quant.qmin - grid.zero_point < 0 &&
                                     std::abs(codes.qmin + codes.qmax - 2 * grid.zero_point) <= 1};
  const auto count = static_cast<double>(range.total.count);
  const auto [error, clipped] = clipping(range.histogram, figures.low, figures.high);
  figures.clipped_share = clipped / count;
  figures.clipped_noise = noise > 0 ? std::min(1.0, error / count / noise) : 0;
  figures.bulk_low = std::max<double>(figures.minimum, range.histogram.quantile(kTail));
  figures.bulk_high = std::min<double>(figures.maximum, range.histogram.quantile(1 - kTail));
  if (range.channels.size() > 1) {
    std::vector<double> reaches;
    for (const Moments& channel : range.channels) reaches.push_back(reach_of(channel));
    figures.channel = std::ranges::max_element(reaches) - reaches.begin();
    figures.channels = static_cast<int64_t>(reaches.size());
    figures.channel_reach = reaches[static_cast<size_t>(figures.channel)];
    figures.median_reach = median_of(std::move(reaches));
  }
  return figures;
}

// Of rounding a tensor to these codes, if no value lies beyond them.
double usual_noise(const QuantParams& quant, const Shape& shape) {
  double squares = 0;
  for (const float scale : quant.scale) squares += std::pow(static_cast<double>(scale), 2);
  return squares / static_cast<double>(quant.scale.size()) / 12 *
         static_cast<double>(shape.elements());
}

std::optional<TensorFigures> weight_figures(const Node& node, const Value& real,
                                            const Value& coded) {
  if (!coded.type.quant || !coded.is_constant() || !real.is_constant()) return std::nullopt;
  if (real.data.dtype() != DType::f32 || real.data.shape() != coded.data.shape() ||
      real.data.shape().rank() < 2 || real.data.elements() == 0) {
    return std::nullopt;
  }
  const QuantParams& quant = *coded.type.quant;
  const Tensor rounded = dequantize_tensor(coded.data, quant);
  const std::span<const float> b = rounded.data<float>();
  const WeightIndex index(node, real.data.shape());
  const std::vector<double> a =
      evened_weights(real.data.data<float>(), b, index, usual_noise(quant, real.data.shape()));
  std::vector<double> noise(static_cast<size_t>(index.outputs())), reach(noise.size());
  double signal = 0, all = 0;
  TensorFigures figures{.name = real.name, .bits = quant.bits()};
  for (size_t i = 0; i < a.size(); ++i) {
    const double value = a[i], error = static_cast<double>(b[i]) - value;
    const auto channel = static_cast<size_t>(index.output(static_cast<int64_t>(i)));
    signal += value * value;
    all += error * error;
    noise[channel] += error * error;
    reach[channel] = std::max(reach[channel], std::abs(value));
    figures.minimum = std::min(figures.minimum, value);
    figures.maximum = std::max(figures.maximum, value);
  }
  figures.sqnr_db = sqnr_db(signal, all);
  figures.step = *std::ranges::max_element(quant.scale);
  figures.low = figures.step * quant.qmin;
  figures.high = figures.step * quant.qmax;
  figures.symmetric = true;
  figures.channels = index.outputs();
  figures.channel = std::ranges::max_element(noise) - noise.begin();
  figures.channel_noise = all > 0 ? noise[static_cast<size_t>(figures.channel)] / all : 0;
  figures.channel_reach = reach[static_cast<size_t>(figures.channel)];
  figures.median_reach = median_of(std::move(reach));
  return figures;
}

std::string path_of(const OpenGraph& scope, ValueId value) {
  return scope.path + scope.graph->value(value).name;
}

const Value& origin_of(OpenGraph& scope, ValueId value) {
  const auto [around, origin] = scope.origin(value);
  return around->graph->value(origin);
}

// What was measured, by the paths of values.
struct Measured {
  const RangeReport& ranges;
  std::map<std::string, double> sqnr_db = {};
};

std::map<std::string, OpenGraph*> by_path(const OpenGraphs& open) {
  std::map<std::string, OpenGraph*> graphs;
  for (const auto& graph : open.all()) graphs[graph->path] = graph.get();
  return graphs;
}

// The two models, by the paths of their graphs.
struct Models {
  std::map<std::string, OpenGraph*> reference, quantized;
};

bool holds_weight(OpenGraph& scope, const Node& node) {
  if (is_weighted(node)) return true;
  if (!stores_weight(node) || !weight_of(node)) return false;
  return has_weight(node, origin_of(scope, weight_of(node)));
}

// The layers of the graph at a path, which both models have.
class Collector {
 public:
  Collector(const Models& models, const std::string& path, const Measured& measured)
      : models_(models),
        scope_(*models.reference.at(path)),
        reference_(*scope_.graph),
        quantized_scope_(*models.quantized.at(path)),
        quantized_(*quantized_scope_.graph),
        measured_(measured) {}
  /// What the bodies of a node hold comes before the node.
  void collect(std::vector<LayerFigures>& all) const;

 private:
  void collect_bodies(const Node& node, std::vector<LayerFigures>& all) const;
  std::optional<double> sqnr_of(ValueId value) const;
  const QuantParams* quant_of(ValueId value) const;
  ValueId result_of(const Node& node) const;
  std::optional<TensorFigures> activation(ValueId value) const;
  void add_weight(const Node& node, LayerFigures& figures) const;
  LayerFigures figures_of(const Node& node, ValueId result) const;

  const Models& models_;
  OpenGraph& scope_;
  const Graph& reference_;
  OpenGraph& quantized_scope_;
  const Graph& quantized_;
  const Measured& measured_;
};

// Of a value of the reference; also of one that a graph around this one computes.
std::optional<double> Collector::sqnr_of(ValueId value) const {
  const auto [around, origin] = scope_.origin(value);
  const auto found = measured_.sqnr_db.find(path_of(*around, origin));
  if (found == measured_.sqnr_db.end()) return std::nullopt;
  return found->second;
}

// How the quantized network codes it.
const QuantParams* Collector::quant_of(ValueId value) const {
  const auto id = quantized_.find_value(reference_.value(value).name);
  if (!id) return nullptr;
  const TensorType& type = origin_of(quantized_scope_, *id).type;
  return type.quant ? &*type.quant : nullptr;
}

// The node's result, or, where that has no codes of its own, what the elementwise functions that
// follow make of it.
ValueId Collector::result_of(const Node& node) const {
  constexpr int kFarthest = 3;
  ValueId value = node.output(0);
  for (int i = 0; i < kFarthest && quant_of(value) == nullptr; ++i) {
    const std::vector<NodeId> readers = reference_.consumers(value);
    if (readers.size() != 1 || reference_.is_output(value)) break;
    const Node& next = reference_.node(readers.front());
    const bool alone = next.inputs.size() == 1 || clamp_of(reference_, next).has_value();
    if (!alone || next.outputs.size() != 1) break;
    value = next.output(0);
  }
  return quant_of(value) != nullptr && sqnr_of(value) ? value : node.output(0);
}

std::optional<TensorFigures> Collector::activation(ValueId value) const {
  const auto [around, origin] = scope_.origin(value);
  const TensorRange* range = measured_.ranges.find(path_of(*around, origin));
  const QuantParams* quant = quant_of(value);
  if (range == nullptr || range->is_weight || quant == nullptr) return std::nullopt;
  return activation_figures(*range, *quant);
}

void Collector::add_weight(const Node& node, LayerFigures& figures) const {
  const Value& real = origin_of(scope_, weight_of(node));
  const auto value = quantized_.find_value(reference_.value(node.output(0)).name);
  const auto twin = value ? quantized_.producer(*value) : std::nullopt;
  if (!twin || !holds_weight(quantized_scope_, quantized_.node(*twin))) return;
  const Value& coded = origin_of(quantized_scope_, weight_of(quantized_.node(*twin)));
  if (coded.type.quant) figures.weight_bits = coded.type.quant->bits();
  figures.weight = weight_figures(node, real, coded);
  if (real.type.shape.rank() < 2 || !real.type.shape.is_static()) return;
  const WeightIndex index(node, real.type.shape);
  figures.terms = real.type.shape.elements() / std::max<int64_t>(1, index.outputs());
  const int64_t groups = index.axes().groups;
  figures.depthwise = groups > 1 && groups == index.inputs();
}

LayerFigures Collector::figures_of(const Node& node, ValueId result) const {
  LayerFigures figures{
      .node = scope_.path + node.name, .op = node.op, .value = path_of(scope_, result)};
  figures.sqnr_db = *sqnr_of(result);
  figures.sqnr_before_db = kInfinity;
  // The relative errors of factors add up.
  const bool is_product = multiplies_activations(reference_, node);
  for (const ValueId input : node.inputs) {
    if (!input || reference_.value(input).is_constant()) continue;
    if (const auto before = sqnr_of(input)) {
      const double worse = std::min(figures.sqnr_before_db, *before);
      figures.sqnr_before_db =
          is_product ? -10 * std::log10(noise_of(figures.sqnr_before_db) + noise_of(*before))
                     : worse;
    } else if (!figures.input) {
      const auto [around, origin] = scope_.origin(input);
      if (around->outer == nullptr && around->graph->is_input(origin)) {
        figures.input = activation(input);
      }
    }
  }
  if (holds_weight(scope_, node)) add_weight(node, figures);
  figures.result = activation(result);
  if (const QuantParams* quant = quant_of(result)) figures.activation_bits = quant->bits();
  return figures;
}

void Collector::collect_bodies(const Node& node, std::vector<LayerFigures>& all) const {
  for (const auto& [name, attribute] : node.attributes) {
    const std::string path = body_path(scope_.path, node, name);
    if (!models_.reference.contains(path) || !models_.quantized.contains(path)) continue;
    Collector(models_, path, measured_).collect(all);
  }
}

void Collector::collect(std::vector<LayerFigures>& all) const {
  std::set<ValueId> covered;
  for (const NodeId id : reference_.nodes()) {
    const Node& node = reference_.node(id);
    const size_t before = all.size();
    collect_bodies(node, all);
    if (all.size() > before) continue;  // what it does is done in there
    const ValueId own = node.output(0);
    if (!own || covered.contains(own) || !sqnr_of(own)) continue;
    const bool layer = holds_weight(scope_, node);
    const ValueId result = result_of(node);
    if (!layer && quant_of(result) == nullptr) continue;
    covered.insert(result);
    // What moves or picks codes adds nothing, though the noise may be larger where it picks.
    if (!layer && require_op(node, reference_.opset()).quant == QuantRole::same_codes) continue;
    all.push_back(figures_of(node, result));
  }
}

void set_shares(std::vector<LayerFigures>& all) {
  double sum = 0;
  for (LayerFigures& figures : all) {
    figures.share = std::max(0.0, noise_of(figures.sqnr_db) - noise_of(figures.sqnr_before_db));
    if (std::isfinite(figures.share)) sum += figures.share;
  }
  for (LayerFigures& figures : all) {
    figures.share = std::isfinite(figures.share) ? (sum > 0 ? figures.share / sum : 0) : 1;
  }
}

}  // namespace

double noise_of(double sqnr_db) { return std::pow(10.0, -sqnr_db / 10); }

std::vector<LayerFigures> layer_figures(const Graph& reference, const Graph& quantized,
                                        const RangeReport& ranges,
                                        std::span<const LayerError> errors) {
  Measured measured{ranges};
  for (const LayerError& error : errors) measured.sqnr_db[error.value] = error.sqnr_db;
  Graph real = reference, coded = quantized;  // opened, and not changed
  const OpenGraphs open_real(real), open_coded(coded);
  const Models models{by_path(open_real), by_path(open_coded)};
  std::vector<LayerFigures> all;
  Collector(models, "", measured).collect(all);
  set_shares(all);
  return all;
}

}  // namespace nibble
