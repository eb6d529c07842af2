#include "quant/float_samples.h"

#include <algorithm>

#include "base/check.h"
#include "ops/roles.h"
#include "ranges/sample_runner.h"

namespace nibble {
namespace {

class Samples final : public LayerSamples {
 public:
  Samples(const Graph& graph, const Dataset& data, int threads, ValueId input, ValueId output)
      : data_(data),
        input_(input),
        output_(output),
        runner_(graph, data,
                {.arithmetic = Arithmetic::f32, .optimize = false, .threads = threads}) {}

  void visit(const Visitor& visit) const override {
    Tensor held;
    runner_.observe([&](ValueId id, const Tensor& tensor) {
      if (id == input_) held = tensor.clone();
      if (id == output_) visit(held, tensor);
    });
    // A batch that had to be filled up would count its last sample twice; it is all there is, or is
    // left out.
    for (const auto reader = runner_.reader(data_.size()); const auto batch = reader->next();) {
      if (batch->padding == 0 || batch->begin == 0) runner_.run(*batch);
    }
  }

 private:
  const Dataset& data_;
  ValueId input_, output_;
  mutable SampleRunner runner_;
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
