#include "report/causes/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/grid.h"
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

std::optional<TensorFigures> weight_figures(const Node& node, const Value& real,
                                            const Value& coded) {
  if (!coded.type.quant || !coded.is_constant() || !real.is_constant()) return std::nullopt;
  if (real.data.dtype() != DType::f32 || real.data.shape() != coded.data.shape() ||
      real.data.shape().rank() < 2 || real.data.elements() == 0) {
    return std::nullopt;
  }
  const QuantParams& quant = *coded.type.quant;
  const Tensor rounded = dequantize_tensor(coded.data, quant);
  const std::span<const float> a = real.data.data<float>(), b = rounded.data<float>();
  const WeightIndex index(node, real.data.shape());
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

// One of the graphs of a model, its path (every_graph.h), and the one around it.
struct Scope {
  const Graph& graph;
  std::string path;
  const Scope* outer = nullptr;

  std::string path_of(ValueId value) const { return path + graph.value(value).name; }
};

// Where a value that a body captures is computed or constant.
std::pair<const Scope&, ValueId> origin_of(const Scope& scope, ValueId value) {
  if (scope.outer == nullptr || !is_free(scope.graph, value)) return {scope, value};
  const auto around = scope.outer->graph.find_value(scope.graph.value(value).name);
  return around ? origin_of(*scope.outer, *around) : std::pair<const Scope&, ValueId>{scope, value};
}

// What was measured, by the paths of values; and the graphs of the quantized model, by theirs.
struct Measured {
  const RangeReport& ranges;
  std::map<std::string, double> sqnr_db = {};
  std::map<std::string, const Graph*> quantized = {};
};

bool holds_weight(const Scope& scope, const Node& node) {
  if (is_weighted(node)) return true;
  if (!stores_weight(node) || !weight_of(node)) return false;
  const auto [around, weight] = origin_of(scope, weight_of(node));
  return has_weight(node, around.graph.value(weight));
}

// The layers of one graph.
class Collector {
 public:
  Collector(const Scope& reference, const Scope& quantized, const Measured& measured)
      : scope_(reference),
        reference_(reference.graph),
        quantized_scope_(quantized),
        quantized_(quantized.graph),
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

  const Scope& scope_;
  const Graph& reference_;
  const Scope& quantized_scope_;
  const Graph& quantized_;
  const Measured& measured_;
};

// Of a value of the reference; also of one that a graph around this one computes.
std::optional<double> Collector::sqnr_of(ValueId value) const {
  const auto [scope, id] = origin_of(scope_, value);
  const auto found = measured_.sqnr_db.find(scope.path_of(id));
  if (found == measured_.sqnr_db.end()) return std::nullopt;
  return found->second;
}

// How the quantized network codes it.
const QuantParams* Collector::quant_of(ValueId value) const {
  const auto id = quantized_.find_value(reference_.value(value).name);
  if (!id) return nullptr;
  const auto [scope, origin] = origin_of(quantized_scope_, *id);
  const TensorType& type = scope.graph.value(origin).type;
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
  const auto [scope, id] = origin_of(scope_, value);
  const TensorRange* range = measured_.ranges.find(scope.path_of(id));
  const QuantParams* quant = quant_of(value);
  if (range == nullptr || range->is_weight || quant == nullptr) return std::nullopt;
  return activation_figures(*range, *quant);
}

void Collector::add_weight(const Node& node, LayerFigures& figures) const {
  const auto [real_scope, real_id] = origin_of(scope_, weight_of(node));
  const Value& real = real_scope.graph.value(real_id);
  const auto value = quantized_.find_value(reference_.value(node.output(0)).name);
  const auto twin = value ? quantized_.producer(*value) : std::nullopt;
  if (!twin || !holds_weight(quantized_scope_, quantized_.node(*twin))) return;
  const auto [coded_scope, coded_id] =
      origin_of(quantized_scope_, weight_of(quantized_.node(*twin)));
  const Value& coded = coded_scope.graph.value(coded_id);
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
      .node = scope_.path + node.name, .op = node.op, .value = scope_.path_of(result)};
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
      const auto [scope, origin] = origin_of(scope_, input);
      if (scope.outer == nullptr && scope.graph.is_input(origin)) figures.input = activation(input);
    }
  }
  if (holds_weight(scope_, node)) add_weight(node, figures);
  figures.result = activation(result);
  if (const QuantParams* quant = quant_of(result)) figures.activation_bits = quant->bits();
  return figures;
}

void Collector::collect_bodies(const Node& node, std::vector<LayerFigures>& all) const {
  for (const auto& [name, attribute] : node.attributes) {
    const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute);
    if (body == nullptr) continue;
    const std::string path = body_path(scope_.path, node, name);
    const auto other = measured_.quantized.find(path);
    if (other == measured_.quantized.end()) continue;
    const Scope inner{**body, path, &scope_}, other_inner{*other->second, path, &quantized_scope_};
    Collector(inner, other_inner, measured_).collect(all);
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
  visit_every_graph(quantized, [&](const Graph& graph, const std::string& path) {
    measured.quantized[path] = &graph;
  });
  const Scope real{reference, ""}, coded{quantized, ""};
  std::vector<LayerFigures> all;
  Collector(real, coded, measured).collect(all);
  set_shares(all);
  return all;
}

}  // namespace nibble
