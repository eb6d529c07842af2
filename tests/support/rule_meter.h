// Latencies that a test invents: no test looks at a clock.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nibble/quantize.h"
#include "ops/roles.h"

namespace nibble::testing {

/// A network whose steps take so long; its interval reaches `spread` of the median to both sides.
inline TimedNetwork timed(std::vector<TimedStep> steps, double spread = 0) {
  TimedNetwork network{.runs = 100, .steps = std::move(steps)};
  for (const TimedStep& step : network.steps) network.median_s += step.seconds;
  network.low_s = network.median_s * (1 - spread);
  network.high_s = network.median_s * (1 + spread);
  return network;
}

/// Times the layers of networks as a rule says.
class RuleMeter : public LatencyMeter {
 public:
  using Rule = std::function<double(const std::string& layer, int weight_bits)>;
  explicit RuleMeter(Rule rule) : rule_(std::move(rule)) {}
  std::vector<TimedNetwork> time(std::span<const Graph> graphs) override {
    std::vector<TimedNetwork> times;
    for (const Graph& graph : graphs) {
      std::vector<TimedStep> steps;
      for (const NodeId id : graph.nodes()) {
        const Node& node = graph.node(id);
        if (!has_weight(graph, node)) continue;
        const auto& quant = graph.value(weight_of(node)).type.quant;
        steps.push_back({node.name, false, rule_(node.name, quant ? quant->bits() : 0)});
      }
      times.push_back(timed(std::move(steps)));
    }
    return times;
  }
  std::string conditions() const override { return "a machine by a rule"; }

 private:
  Rule rule_;
};

}  // namespace nibble::testing
