// Builds the graphs of architectures.cpp: one call per layer, parameters freshly initialised,
// shapes tracked so that a wrong combination is caught where it is written.
#pragma once

#include <string>

#include "base/random.h"
#include "nibble/graph.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Square window of a convolution or pooling.
struct LayerWindow {
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 0;  // on each side
  int64_t groups = 1;
};

/// Every method appends nodes named `name` (or name.part) and returns their result. Weights are
/// He-normal (He et al. 2015, arXiv:1502.01852, fan-in), biases zero, batch normalisations fresh.
class GraphBuilder {
 public:
  /// A graph with the input "input" of shape [N, sample...].
  GraphBuilder(std::string name, const Shape& sample, uint64_t seed);

  ValueId input() const { return graph_.inputs[0]; }
  const Shape& shape(ValueId value) const { return graph_.value(value).type.shape; }

  ValueId conv(const std::string& name, ValueId x, int64_t channels, const LayerWindow& window,
               bool bias);
  ValueId batch_norm(const std::string& name, ValueId x);
  ValueId relu(const std::string& name, ValueId x);
  /// Clip to [0, 6].
  ValueId relu6(const std::string& name, ValueId x);
  ValueId sigmoid(const std::string& name, ValueId x);
  ValueId add(const std::string& name, ValueId a, ValueId b);
  ValueId max_pool(const std::string& name, ValueId x, int64_t size);
  /// Mean over all positions: [N,C].
  ValueId global_average(const std::string& name, ValueId x);
  ValueId flatten(const std::string& name, ValueId x);
  ValueId dropout(const std::string& name, ValueId x, float ratio);
  ValueId dense(const std::string& name, ValueId x, int64_t units);

  /// The finished graph; `output` becomes its output, renamed `name`.
  Graph finish(ValueId output, const std::string& name) &&;

 private:
  ValueId append(const std::string& op, const std::string& name, std::vector<ValueId> inputs,
                 const Shape& shape, Attributes attributes = {});
  ValueId he_normal(const std::string& name, const Shape& shape, int64_t fan_in);
  ValueId filled(const std::string& name, int64_t count, float value);

  Graph graph_;
  Random random_;
};

}  // namespace nibble
#pragma GCC visibility pop
