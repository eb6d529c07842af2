// Dynamic range analysis: the prepared float graph is run batch by batch, and what each value
// holds is added to its Collector and forgotten.
#include <algorithm>
#include <array>
#include <map>

#include "base/check.h"
#include "nibble/ranges.h"
#include "ops/op.h"
#include "ops/roles.h"
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
std::map<ValueId, Collector> weight_collectors(const Graph& graph) {
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
      found.emplace(node.inputs[i], Collector(value.name, node.name, axis, true));
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
                        .activation(range.total, range.histogram, codes, Symmetry::asymmetric);
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

// In execution order: a node's weights, then its results.
std::vector<ValueId> reporting_order(const Graph& graph) {
  std::vector<ValueId> order(graph.inputs);
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const ValueId input : node.inputs) {
      if (input && graph.value(input).is_constant() &&
          std::ranges::find(order, input) == order.end()) {
        order.push_back(input);
      }
    }
    for (const ValueId output : node.outputs) {
      if (output) order.push_back(output);
    }
  }
  return order;
}

class Analysis {
 public:
  Analysis(const Graph& graph, const Dataset& data, const AnalyzeOptions& options)
      : graph_(graph),
        data_(data),
        options_(options),
        axes_(graph),
        calibration_(data),
        pool_(options.threads) {
    weights_ = weight_collectors(graph);
    for (auto& [id, collector] : weights_) collector.add(graph.value(id).data, 0, pool_);
    for (const NodeId id : graph.nodes()) {
      for (const ValueId output : graph.node(id).outputs) {
        if (output) producer_[output] = graph.node(id).name;
      }
    }
  }

  RangeReport run() {
    SampleRunner runner(graph_, data_,
                        {.batch = options_.batch,
                         .arithmetic = Arithmetic::f32,
                         .optimize = false,
                         .threads = options_.threads});
    int64_t done = 0;
    runner.observe(
        [&](ValueId id, const Tensor& tensor) { observe(id, tensor, done, runner.batch_axis()); });
    report_progress(options_.progress, "analyzing ranges", 0, data_.size());
    for (const auto reader = runner.reader(data_.size()); const auto batch = reader->next();) {
      // A batch that had to be filled up would count its last sample twice; it is all there is, or
      // is left out.
      if (batch->padding > 0 && done > 0) break;
      calibration_.see(*batch);
      runner.run(*batch);
      done += batch->count;
      report_progress(options_.progress, "analyzing ranges", done, data_.size());
    }
    return report(done, runner.notes());
  }

 private:
  void observe(ValueId id, const Tensor& tensor, int64_t first_sample,
               const std::map<ValueId, int>& batch_axes) {
    if (tensor.dtype() != DType::f32) return;
    Collector& collector = activations_[id];
    if (collector.empty()) {
      collector = Collector(graph_.value(id).name, producer_[id],
                            channel_axis(id, tensor.shape().rank(), batch_axes), false);
    }
    collector.add(tensor, first_sample, pool_);
  }

  void name_file(TensorRange& range, int64_t sample) const {
    const std::string file = sample < data_.size() ? data_.file_of(sample) : "";
    if (!file.empty()) range.unusable += " (" + file + ")";
  }

  // Where nobody who reads the value says so, channels lie along axis 1, unless samples do
  // ([sequence, batch, features]).
  int channel_axis(ValueId id, int rank, const std::map<ValueId, int>& batch_axes) const {
    const auto samples = batch_axes.find(id);
    const int samples_at = samples == batch_axes.end() ? 0 : samples->second;
    const int axis = axes_.of(id, rank);
    if (axis >= 0) return axis == samples_at ? -1 : axis;
    return rank > 1 && samples_at != 1 ? 1 : -1;
  }

  RangeReport report(int64_t samples, const std::vector<std::string>& notes) {
    RangeReport report{.samples = samples, .notes = notes};
    for (std::string& note : calibration_.sentences()) report.notes.push_back(std::move(note));
    std::vector<const Tensor*> data;
    for (const ValueId id : reporting_order(graph_)) {
      const bool is_weight = weights_.contains(id);
      if (!is_weight && !activations_.contains(id)) continue;
      const Collector& collector = is_weight ? weights_.at(id) : activations_.at(id);
      if (collector.empty()) continue;
      report.tensors.push_back(collector.finish());
      if (const auto sample = collector.bad_sample()) name_file(report.tensors.back(), *sample);
      data.push_back(is_weight ? &graph_.value(id).data : nullptr);
    }
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
  const ChannelAxes axes_;
  CalibrationNotes calibration_;
  ThreadPool pool_;
  std::map<ValueId, Collector> weights_;
  std::map<ValueId, Collector> activations_;
  std::map<ValueId, std::string> producer_;
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
