// compare_layers: how far each value of a quantized graph is from the same value of the float one.
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>

#include "base/check.h"
#include "nibble/evaluate.h"
#include "passes/every_graph.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

// The activations of the reference for one batch are held, so it is kept small.
constexpr int64_t kLargestBatch = 8;

// Sums over all samples; nothing grows with their number.
struct ErrorSums {
  double signal = 0;   // sum of reference^2
  double other = 0;    // sum of quantized^2
  double product = 0;  // sum of reference * quantized
  double error = 0;    // sum of (quantized - reference)^2
  double max_abs = 0;
  bool seen = false;

  void add(std::span<const float> reference, std::span<const float> quantized) {
    seen = true;
    for (size_t i = 0; i < reference.size(); ++i) {
      const double a = reference[i];
      const double b = quantized[i];
      signal += a * a;
      other += b * b;
      product += a * b;
      error += (b - a) * (b - a);
      max_abs = std::max(max_abs, std::abs(b - a));
    }
  }
  double sqnr_db() const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (error == 0) return kInfinity;
    const double ratio = 10 * std::log10(signal / error);
    return std::isnan(ratio) ? -kInfinity : ratio;
  }
  double cosine() const {
    if (signal == 0 || other == 0) return signal == other ? 1 : 0;
    return std::clamp(product / std::sqrt(signal * other), -1.0, 1.0);
  }
};

// A value of both graphs that some node computes.
struct Pair {
  LayerError layer;
  ErrorSums sums;
  // Of the current batch: one for each time that its body runs.
  std::deque<Tensor> expected;
};

// A value, and the path of its graph (every_graph.h).
using Place = std::pair<std::string, ValueId>;

class LayerComparison {
 public:
  LayerComparison(const Graph& reference, const Graph& quantized) {
    std::map<std::string, const Graph*> others;
    visit_every_graph(quantized,
                      [&](const Graph& graph, const std::string& path) { others[path] = &graph; });
    add_pairs(reference, "", others);
    if (pairs_.empty()) {
      fail(ErrorCode::invalid_argument, "the two models have no values of the same name");
    }
  }

  void keep_expected(const std::string& path, ValueId id, const Tensor& tensor) {
    const auto at = by_reference_.find({path, id});
    if (at != by_reference_.end()) pairs_[at->second].expected.push_back(tensor.clone());
  }
  void compare(const std::string& path, ValueId id, const Tensor& tensor) {
    const auto at = by_quantized_.find({path, id});
    if (at == by_quantized_.end()) return;
    Pair& pair = pairs_[at->second];
    if (pair.expected.empty()) return;  // the other took another branch
    const Tensor expected = std::move(pair.expected.front());
    pair.expected.pop_front();
    if (expected.dtype() != DType::f32 || tensor.dtype() != DType::f32 ||
        expected.elements() != tensor.elements()) {
      return;
    }
    const auto batch = static_cast<size_t>(batch_);
    const auto used = static_cast<size_t>(tensor.elements()) * static_cast<size_t>(count_) / batch;
    pair.sums.add(expected.data<float>().first(used), tensor.data<float>().first(used));
  }
  /// The next batch has `count` samples and is padded to `batch`.
  void start(int64_t count, int64_t batch) {
    count_ = count;
    batch_ = batch;
    for (Pair& pair : pairs_) pair.expected.clear();
  }

  std::vector<LayerError> result() const {
    std::vector<LayerError> layers;
    for (const Pair& pair : pairs_) {
      if (!pair.sums.seen) continue;
      layers.push_back(pair.layer);
      layers.back().sqnr_db = pair.sums.sqnr_db();
      layers.back().cosine = pair.sums.cosine();
      layers.back().max_abs_error = pair.sums.max_abs;
    }
    std::stable_sort(layers.begin(), layers.end(), [](const LayerError& a, const LayerError& b) {
      return a.sqnr_db < b.sqnr_db;
    });
    return layers;
  }

 private:
  // In execution order: what is in a node's bodies, then its results.
  void add_pairs(const Graph& reference, const std::string& path,
                 const std::map<std::string, const Graph*>& others) {
    const auto other = others.find(path);
    if (other == others.end()) return;
    for (NodeId id : reference.nodes()) {
      const Node& node = reference.node(id);
      for (const auto& [name, attribute] : node.attributes) {
        const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute);
        if (body != nullptr) add_pairs(**body, body_path(path, node, name), others);
      }
      for (ValueId output : node.outputs) {
        if (output) add_pair(reference, *other->second, path, node, output);
      }
    }
  }

  void add_pair(const Graph& reference, const Graph& quantized, const std::string& path,
                const Node& node, ValueId output) {
    const std::string& name = reference.value(output).name;
    const auto match = quantized.find_value(name);
    if (!match || quantized.value(*match).is_constant()) return;
    by_reference_[{path, output}] = pairs_.size();
    by_quantized_[{path, *match}] = pairs_.size();
    pairs_.push_back({.layer = {.value = path + name, .node = path + node.name, .op = node.op}});
  }

  std::vector<Pair> pairs_;  // in the order of execution
  std::map<Place, size_t> by_reference_, by_quantized_;
  int64_t count_ = 1;
  int64_t batch_ = 1;
};

}  // namespace

std::vector<LayerError> compare_layers(const Graph& reference, const Graph& quantized,
                                       const Dataset& data, int64_t samples,
                                       const EvaluateOptions& options) {
  const int64_t count = samples > 0 ? std::min(samples, data.size()) : data.size();
  if (count == 0) fail(ErrorCode::invalid_data, "the data set is empty: {}", data.describe());
  LayerComparison comparison(reference, quantized);
  const int64_t batch = std::min<int64_t>({options.batch, kLargestBatch, count});
  SampleRunner expected(reference, data,
                        {.batch = batch,
                         .arithmetic = Arithmetic::f32,
                         .optimize = false,
                         .threads = options.threads});
  SampleRunner actual(quantized, data,
                      {.batch = expected.batch(),
                       .arithmetic = options.arithmetic,
                       .optimize = false,
                       .threads = options.threads,
                       .probe = false});
  if (expected.batch() != actual.batch()) {
    fail(ErrorCode::invalid_argument, "the two models take batches of {} and {} samples",
         expected.batch(), actual.batch());
  }
  const auto keep = [&](const std::string& path, ValueId id, const Tensor& tensor) {
    comparison.keep_expected(path, id, tensor);
  };
  const auto compare = [&](const std::string& path, ValueId id, const Tensor& tensor) {
    comparison.compare(path, id, tensor);
  };
  expected.observe([&](ValueId id, const Tensor& tensor) { keep("", id, tensor); }, keep);
  actual.observe([&](ValueId id, const Tensor& tensor) { compare("", id, tensor); }, compare);
  report_progress(options.progress, "comparing", 0, count);
  for (const auto reader = expected.reader(count); const auto next = reader->next();) {
    comparison.start(next->count, next->fed());
    expected.run(*next);
    actual.run(*next);
    report_progress(options.progress, "comparing", next->begin + next->count, count);
  }
  return comparison.result();
}

}  // namespace nibble
