#include "quant/network_samples.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/every_graph.h"

namespace nibble {

Graph part_giving(const Graph& graph, const Dataset& data, std::span<const ValueId> wanted) {
  Graph part = graph;
  if (!bind_samples(graph, data).carries()) part.outputs.clear();
  for (const ValueId value : wanted) {
    const std::string name = part.unique_value_name(part.value(value).name + "_seen");
    const ValueId seen = part.add_value(
        name, {.dtype = DType::f32, .shape = part.value(value).type.shape, .quant = {}});
    part.add_node({.op = "Identity",
                   .name = part.unique_node_name(name),
                   .inputs = {value},
                   .outputs = {seen}});
    part.outputs.push_back(seen);
  }
  part.prune();
  return part;
}

namespace {

// In a network with bodies: what the float network shows while it runs as a whole.
class ObservedSamples final : public LayerSamples {
 public:
  // The values lie in the graph at `path`, but for an input that it captures.
  struct Place {
    std::string path;
    ValueId value;
    bool operator==(const Place&) const = default;
  };

  ObservedSamples(const Graph& graph, const Dataset& data, const SampleRunnerOptions& options,
                  Place input, Place output)
      : data_(data),
        input_(std::move(input)),
        output_(std::move(output)),
        runner_(graph, data, options) {}

  int64_t size() const override { return data_.size(); }

  void visit(const Visitor& visit) const override {
    Tensor held;
    int64_t samples = 0;
    const auto see = [&](const std::string& path, ValueId id, const Tensor& tensor) {
      const Place place{path, id};
      if (place == input_) held = tensor.clone();
      if (place == output_) visit({held, held, tensor, samples});
    };
    runner_.observe([&](ValueId id, const Tensor& tensor) { see("", id, tensor); }, see);
    for_each_full_batch(runner_, data_, [&](const SampleBatch& batch) {
      samples = batch.count;
      runner_.run(batch);
    });
  }

 private:
  const Dataset& data_;
  Place input_, output_;
  mutable SampleRunner runner_;
};

class PartialSamples final : public LayerSamples {
 public:
  PartialSamples(Graph real, std::optional<Graph> quantized, const Dataset& data,
                 SampleRunnerOptions options)
      : data_(data), real_(std::move(real)), quantized_(std::move(quantized)) {
    options.arithmetic = Arithmetic::f32;
    real_runner_.emplace(real_, data, options);
    options.arithmetic = Arithmetic::integer;
    if (quantized_) quantized_runner_.emplace(*quantized_, data, options);
  }

  int64_t size() const override { return data_.size(); }

  void visit(const Visitor& visit) const override {
    for_each_full_batch(*real_runner_, data_, [&](const SampleBatch& batch) {
      const std::span<const Tensor> real = real_runner_->run(batch);
      const Tensor &data = real[real.size() - 2], &result = real.back();
      if (quantized_runner_) {
        visit({data, quantized_runner_->run(batch).back(), result, batch.count});
      } else {
        visit({data, data, result, batch.count});
      }
    });
  }

 private:
  const Dataset& data_;
  const Graph real_;
  const std::optional<Graph> quantized_;
  mutable std::optional<SampleRunner> real_runner_, quantized_runner_;
};

std::optional<NodeId> find_node(const Graph& graph, const std::string& name) {
  for (const NodeId id : graph.nodes()) {
    if (graph.node(id).name == name) return id;
  }
  return std::nullopt;
}

}  // namespace

NetworkSamples::NetworkSamples(const Graph& real, const Dataset& data, int threads)
    : real_(real), data_(data), threads_(threads) {
  visit_every_graph(real, [&](const Graph& graph, const std::string&) {
    has_bodies_ = has_bodies_ || &graph != &real;
  });
  batch_ = SampleRunner(real, data, {.arithmetic = Arithmetic::f32, .threads = threads}).batch();
}

std::unique_ptr<LayerSamples> NetworkSamples::of(const std::string& layer,
                                                 const Graph* quantized) const {
  SampleRunnerOptions options{.batch = batch_, .threads = threads_, .probe = false};
  if (!has_bodies_) {
    const Node& node = real_.node(*find_node(real_, layer));
    const std::array<ValueId, 2> wanted = {data_of(node), node.outputs[0]};
    std::optional<Graph> part;
    if (quantized != nullptr) {
      const ValueId seen = data_of(quantized->node(*find_node(*quantized, layer)));
      part = part_giving(*quantized, data_, std::span(&seen, 1));
    }
    return std::make_unique<PartialSamples>(part_giving(real_, data_, wanted), std::move(part),
                                            data_, options);
  }
  options.arithmetic = Arithmetic::f32;
  options.optimize = false;
  Graph copy = real_;
  const OpenGraphs open(copy);
  for (const auto& scope : open.all()) {
    const auto id =
        find_node(*scope->graph, layer.substr(std::min(scope->path.size(), layer.size())));
    if (!id || !layer.starts_with(scope->path)) continue;
    const Node& node = scope->graph->node(*id);
    const auto [around, data] = scope->origin(data_of(node));
    using Place = ObservedSamples::Place;
    return std::make_unique<ObservedSamples>(real_, data_, options, Place{around->path, data},
                                             Place{scope->path, node.outputs[0]});
  }
  check(false, "a layer of this network");
  return nullptr;
}

}  // namespace nibble
