// Dynamic range analysis: the prepared float graph is run batch by batch, and what each value
// holds is added to its Collector and forgotten.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/check.h"
#include "nibble/ranges.h"
#include "ops/op.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/calibration_notes.h"
#include "ranges/channel_axis.h"
#include "ranges/collector.h"
#include "ranges/observer.h"
#include "ranges/rounding.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

// How the errors of a RangeReport are predicted.
constexpr std::array kPredictedBits = {8, 6, 4, 3, 2};
constexpr std::string_view kPredictedObserver = "mse";
constexpr std::string_view kPredictedRounding = "nearest";

// Float constants that some node reads as a weight (input 1 of a weighted layer) or that have two
// dimensions and more.
std::map<ValueId, Collector> weight_collectors(const Graph& graph, const std::string& path) {
  std::map<ValueId, Collector> found;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const bool weighted = is_weighted(node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (!node.inputs[i] || found.contains(node.inputs[i])) continue;
      const Value& value = graph.value(node.inputs[i]);
      const bool is_weight = weighted && i == weight_role(node).weight;
      if (!value.is_constant() || value.data.dtype() != DType::f32) continue;
      if (!is_weight && value.data.shape().rank() < 2) continue;
      if (value.data.elements() == 0) continue;
      const int axis = is_weight && value.data.shape().rank() > 1
                           ? WeightIndex(node, value.data.shape()).scale_axis()
                           : 0;
      found.emplace(node.inputs[i], Collector(path + value.name, path + node.name, axis, true));
    }
  }
  return found;
}

// Mean squared error of the weight at `bits` bits.
double weight_error(const TensorRange& range, const Tensor& weight, int bits, ThreadPool& pool) {
  const int axis = range.channels.size() > 1 ? range.channel_axis : -1;
  const QuantParams params =
      weight_params(weight, {.axis = axis}, bits, find_observer(kPredictedObserver), pool);
  const Tensor codes = round_weight(find_rounding(kPredictedRounding), weight, params, pool);
  return squared_error(weight, codes, params) / static_cast<double>(weight.elements());
}

double activation_error(const TensorRange& range, int bits) {
  const BitCodes codes = activation_codes(bits);
  const Grid grid = find_observer(kPredictedObserver)
                        .activation(range, codes, Symmetry::asymmetric, kUsualPercentile);
  return rounding_error(range.total, range.histogram, grid, codes);
}

std::vector<BitError> predict_errors(const TensorRange& range, const Tensor* weight,
                                     ThreadPool& pool) {
  std::vector<BitError> errors;
  const double signal = range.total.power();
  for (const int bits : kPredictedBits) {
    const double noise = weight != nullptr ? weight_error(range, *weight, bits, pool)
                                           : activation_error(range, bits);
    errors.push_back({bits, sqnr_db(signal, noise)});
  }
  return errors;
}

// What is gathered in one of the graphs of a model.
struct Scope {
  const Graph* graph;
  std::string path;
  ChannelAxes axes;
  std::map<ValueId, Collector> weights, activations;
  std::map<ValueId, std::string> producer;

  Scope(const Graph& one, const std::string& where) : graph(&one), path(where), axes(one) {
    weights = weight_collectors(one, path);
    for (const NodeId id : one.nodes()) {
      for (const ValueId output : one.node(id).outputs) {
        if (output) producer[output] = path + one.node(id).name;
      }
    }
  }
};

class Analysis {
 public:
  Analysis(const Graph& graph, const Dataset& data, const AnalyzeOptions& options)
      : graph_(graph), data_(data), options_(options), calibration_(data), pool_(options.threads) {
    visit_every_graph(graph, [&](const Graph& one, const std::string& path) {
      Scope& scope = scopes_.try_emplace(path, one, path).first->second;
      for (auto& [id, collector] : scope.weights) collector.add(one.value(id).data, {}, pool_);
    });
  }

  RangeReport run() {
    SampleRunner runner(graph_, data_,
                        {.batch = options_.batch,
                         .arithmetic = Arithmetic::f32,
                         .optimize = false,
                         .threads = options_.threads});
    const Share share = runner.share(options_.ranks);
    first_batch_ = share.begin / runner.batch();
    Collector::Place place{.batch = first_batch_, .first_sample = share.begin};
    static const std::map<ValueId, int> kNotLookedFor;
    runner.observe(
        [&](ValueId id, const Tensor& tensor) {
          observe(scopes_.at(""), id, tensor, place, runner.batch_axis());
        },
        [&](const std::string& path, ValueId id, const Tensor& tensor) {
          observe(scopes_.at(path), id, tensor, place, kNotLookedFor);
        });
    int64_t done = 0;
    report_progress(options_.progress, "analyzing ranges", 0, share.size());
    for_each_full_batch(runner, share, [&](const SampleBatch& batch) {
      calibration_.see(batch);
      runner.run(batch);
      ++place.batch;
      place.first_sample += batch.count;
      done += batch.count;
      report_progress(options_.progress, "analyzing ranges", done, share.size());
    });
    if (options_.ranks != nullptr) done = put_together(*options_.ranks, done);
    return report(done, runner.notes());
  }

 private:
  void observe(Scope& scope, ValueId id, const Tensor& tensor, const Collector::Place& place,
               const std::map<ValueId, int>& batch_axes) {
    if (tensor.dtype() != DType::f32) return;
    Collector& collector = scope.activations[id];
    if (collector.empty()) {
      collector = Collector(scope.path + scope.graph->value(id).name, scope.producer[id],
                            channel_axis(scope, id, tensor.shape().rank(), batch_axes), false,
                            first_batch_);
    }
    collector.add(tensor, place, pool_);
  }

  // Everything that any rank gathered, in the order of ranks, which is that of the samples; how
  // many samples that are.
  int64_t put_together(Ranks& ranks, int64_t samples) {
    Packer mine;
    mine.put(samples);
    calibration_.pack(mine);
    mine.put(scopes_.size());
    for (const auto& [path, scope] : scopes_) {
      mine.put(path);
      std::vector<Named> activations;
      for (const auto& [id, collector] : scope.activations) {
        activations.push_back({id, collector.axis()});
      }
      mine.put(activations);
    }
    samples = 0;
    calibration_ = CalibrationNotes(data_);
    // Of the first rank that has a value: how it is to be gathered.
    std::map<std::string, std::map<ValueId, int>> all;
    for (const std::string& bytes : ranks.gather(mine.take())) {
      Unpacker packed(bytes);
      samples += packed.get<int64_t>();
      calibration_.append(packed);
      for (auto left = packed.get<size_t>(); left > 0; --left) {
        const std::string path = packed.text();
        for (const Named& one : packed.list<Named>()) all[path].emplace(one.id, one.axis);
      }
    }
    for (const auto& [path, values] : all) {
      for (const auto& [id, axis] : values) put_together(ranks, scopes_.at(path), id, axis);
    }
    return samples;
  }

  struct Named {
    ValueId id;
    int axis = 0;
  };

  // One value at a time: each rank holds what all of them have of one.
  static void put_together(Ranks& ranks, Scope& scope, ValueId id, int axis) {
    Packer mine;
    scope.activations[id].pack(mine);
    Collector sum(scope.path + scope.graph->value(id).name, scope.producer[id], axis, false);
    for (const std::string& bytes : ranks.gather(mine.take())) {
      Unpacker packed(bytes);
      sum.append(packed);
    }
    scope.activations[id] = std::move(sum);
  }

  void name_file(TensorRange& range, int64_t sample) const {
    const std::string file = sample < data_.size() ? data_.file_of(sample) : "";
    if (!file.empty()) range.unusable += " (" + file + ")";
  }

  // Where nobody who reads the value says so, channels lie along axis 1, unless samples do
  // ([sequence, batch, features]).
  static int channel_axis(const Scope& scope, ValueId id, int rank,
                          const std::map<ValueId, int>& batch_axes) {
    const auto samples = batch_axes.find(id);
    const int samples_at = samples == batch_axes.end() ? 0 : samples->second;
    const int axis = scope.axes.of(id, rank);
    if (axis >= 0) return axis == samples_at ? -1 : axis;
    return rank > 1 && samples_at != 1 ? 1 : -1;
  }

  // In execution order: a node's weights, what its bodies hold, then its results.
  void add_ranges(const Scope& scope, RangeReport& report, std::vector<const Tensor*>& data) const {
    const Graph& graph = *scope.graph;
    std::set<ValueId> seen;
    const auto add = [&](ValueId id) {
      const bool is_weight = scope.weights.contains(id);
      if (!id || (!is_weight && !scope.activations.contains(id)) || !seen.insert(id).second) return;
      const Collector& collector = is_weight ? scope.weights.at(id) : scope.activations.at(id);
      if (collector.empty()) return;
      report.tensors.push_back(collector.finish());
      if (const auto sample = collector.bad_sample()) name_file(report.tensors.back(), *sample);
      data.push_back(is_weight ? &graph.value(id).data : nullptr);
    };
    std::ranges::for_each(graph.inputs, add);
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      for (const ValueId input : node.inputs) {
        if (input && graph.value(input).is_constant()) add(input);
      }
      for (const auto& [name, attribute] : node.attributes) {
        const auto inner = scopes_.find(body_path(scope.path, node, name));
        if (inner != scopes_.end()) add_ranges(inner->second, report, data);
      }
      std::ranges::for_each(node.outputs, add);
    }
  }

  RangeReport report(int64_t samples, const std::vector<std::string>& notes) {
    RangeReport report{.samples = samples, .notes = notes};
    for (std::string& note : calibration_.sentences()) report.notes.push_back(std::move(note));
    std::vector<const Tensor*> data;
    add_ranges(scopes_.at(""), report, data);
    if (!options_.predict_errors) return report;
    pool_.parallel_for(static_cast<int64_t>(report.tensors.size()), [&](int64_t i) {
      TensorRange& range = report.tensors[static_cast<size_t>(i)];
      if (!range.unusable.empty()) return;
      range.errors = predict_errors(range, data[static_cast<size_t>(i)], pool_);
    });
    return report;
  }

  const Graph& graph_;
  const Dataset& data_;
  const AnalyzeOptions& options_;
  CalibrationNotes calibration_;
  ThreadPool pool_;
  int64_t first_batch_ = 0;              // of this rank
  std::map<std::string, Scope> scopes_;  // by path
};

}  // namespace

const TensorRange* RangeReport::find(std::string_view name) const {
  const auto at = std::ranges::find(tensors, name, &TensorRange::name);
  return at == tensors.end() ? nullptr : &*at;
}

RangeReport analyze(const Graph& graph, const Dataset& data, const AnalyzeOptions& options) {
  if (data.size() == 0) {
    fail(ErrorCode::invalid_data, "{} is empty: ranges cannot be measured", data.describe());
  }
  const Graph prepared = prepare_for_quantization(graph);
  return Analysis(prepared, data, options).run();
}

}  // namespace nibble
