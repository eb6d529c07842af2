#include "quant/layer_times.h"

#include <algorithm>
#include <map>
#include <optional>

namespace nibble {

std::vector<double> seconds_by_layer(const TimedNetwork& network,
                                     std::span<const TimedLayer> layers) {
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < layers.size(); ++i) index[layers[i].name] = i;
  const std::vector<TimedStep>& steps = network.steps;
  const auto layer_of = [&](const TimedStep& step) -> std::optional<size_t> {
    const auto found = step.conversion ? index.end() : index.find(step.name);
    return found == index.end() ? std::nullopt : std::optional(found->second);
  };
  // By step, the next one that is a layer's.
  std::vector<std::optional<size_t>> next(steps.size() + 1);
  for (size_t i = steps.size(); i > 0; --i) {
    const auto layer = layer_of(steps[i - 1]);
    next[i - 1] = layer ? layer : next[i];
  }
  std::vector<double> seconds(layers.size(), 0);
  double sum = 0;
  std::optional<size_t> last;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto own = layer_of(steps[i]);
    if (own) last = own;
    std::optional<size_t> owner = last ? last : next[i];
    const bool border = steps[i].conversion && last && next[i + 1];
    if (border && layers[*next[i + 1]].in_float && !layers[*last].in_float) owner = next[i + 1];
    if (!owner) continue;
    seconds[*owner] += steps[i].seconds;
    sum += steps[i].seconds;
  }
  // What a clock in the steps costs, and what lies between them, is spread over all.
  for (double& one : seconds) {
    one = sum > 0 ? one * network.median_s / sum
                  : network.median_s / static_cast<double>(std::max<size_t>(1, seconds.size()));
  }
  return seconds;
}

}  // namespace nibble
