#include "quant/float_samples.h"

#include <algorithm>

#include "base/check.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

class Samples final : public LayerSamples {
 public:
  // The values lie in the graph at `path`, but for an input that it captures.
  struct Place {
    std::string path;
    ValueId value;
    bool operator==(const Place&) const = default;
  };

  Samples(const Graph& graph, const Dataset& data, int threads, Place input, Place output)
      : data_(data),
        input_(std::move(input)),
        output_(std::move(output)),
        runner_(graph, data,
                {.arithmetic = Arithmetic::f32, .optimize = false, .threads = threads}) {}

  void visit(const Visitor& visit) const override {
    Tensor held;
    const auto see = [&](const std::string& path, ValueId id, const Tensor& tensor) {
      const Place place{path, id};
      if (place == input_) held = tensor.clone();
      if (place == output_) visit(held, tensor);
    };
    runner_.observe([&](ValueId id, const Tensor& tensor) { see("", id, tensor); }, see);
    // A batch that had to be filled up would count its last sample twice; it is all there is, or is
    // left out.
    for (const auto reader = runner_.reader(data_.size()); const auto batch = reader->next();) {
      if (batch->padding == 0 || batch->begin == 0) runner_.run(*batch);
    }
  }

 private:
  const Dataset& data_;
  Place input_, output_;
  mutable SampleRunner runner_;
};

}  // namespace

std::unique_ptr<LayerSamples> FloatSamples::of(const std::string& layer) const {
  Graph copy = graph_;
  const OpenGraphs open(copy);
  for (const auto& scope : open.all()) {
    for (const NodeId id : scope->graph->nodes()) {
      const Node& node = scope->graph->node(id);
      if (scope->path + node.name != layer) continue;
      const auto [around, data] = scope->origin(data_of(node));
      return std::make_unique<Samples>(graph_, data_, threads_, Samples::Place{around->path, data},
                                       Samples::Place{scope->path, node.outputs[0]});
    }
  }
  check(false, "a layer of this network");
  return nullptr;
}

}  // namespace nibble
