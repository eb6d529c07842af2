#include "quant/float_samples.h"

#include <algorithm>

#include "base/check.h"
#include "data/batch_shape.h"
#include "nibble/runtime.h"
#include "ops/roles.h"
#include "ranges/batching.h"

namespace nibble {
namespace {

constexpr int64_t kBatch = 32;

class Samples final : public LayerSamples {
 public:
  Samples(const Graph& graph, const Dataset& data, int threads, ValueId input, ValueId output)
      : data_(data),
        threads_(threads),
        input_(input),
        output_(output),
        batch_(find_batching(graph, data, kBatch, threads).size),
        program_(compile_for(graph)) {}

  void visit(const Visitor& visit) const override {
    Tensor held;
    program_.observe([&](ValueId id, const Tensor& tensor) {
      if (id == input_) held = tensor.clone();
      if (id == output_) visit(held, tensor);
    });
    for (int64_t begin = 0; begin + batch_ <= data_.size(); begin += batch_) {
      const Tensor samples = read_batch(data_, begin, batch_, threads_);
      program_.run(std::span(&samples, 1));
    }
  }

 private:
  Program compile_for(const Graph& graph) const {
    const std::string& input = graph.value(graph.inputs.at(0)).name;
    return compile(graph, {.arithmetic = Arithmetic::f32,
                           .input_shapes = {{input, batch_shape(data_, batch_)}},
                           .threads = threads_,
                           .optimize = false});
  }

  const Dataset& data_;
  int threads_;
  ValueId input_, output_;
  int64_t batch_;
  mutable Program program_;
};

}  // namespace

std::unique_ptr<LayerSamples> FloatSamples::of(const std::string& node) const {
  const std::vector<NodeId> nodes = graph_.nodes();
  const auto found =
      std::ranges::find_if(nodes, [&](NodeId id) { return graph_.node(id).name == node; });
  check(found != nodes.end(), "a layer of this network");
  const Node& layer = graph_.node(*found);
  return std::make_unique<Samples>(graph_, data_, threads_, data_of(layer), layer.outputs[0]);
}

}  // namespace nibble
