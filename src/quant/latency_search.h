// The most exact network that runs within a time, found by timing few networks.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/quantize.h"
#include "quant/knapsack.h"
#include "quant/layer_times.h"

#pragma GCC visibility push(default)
namespace nibble {

/// An option for each layer.
using ChosenOptions = std::vector<size_t>;

/// What is to be chosen: noise and arithmetic of each layer's options, and networks made of them.
struct LatencyProblem {
  std::vector<std::string> layers;
  std::vector<std::vector<double>> noise;   // by layer and option; powers that add up
  std::vector<std::vector<bool>> in_float;  // likewise
  std::function<Graph(const ChosenOptions&)> make;
};

/// A network whose options are known.
struct LatencyVariant {
  ChosenOptions chosen;
  const Graph* graph = nullptr;
};

class LatencySearch {
 public:
  /// Times the `uniform` networks, in which together every option of every layer occurs: their
  /// layers' times are what options cost at first.
  LatencySearch(LatencyProblem problem, std::span<const LatencyVariant> uniform,
                LatencyMeter& meter);

  struct Found {
    ChosenOptions chosen;
    double noise = 0;
    double predicted_s = 0;
    TimedNetwork timed;
  };
  /// The exact optimum by the options' costs is made and timed; what its layers take there is what
  /// these options cost from then on, so that a choice that turned out too slow is not made again;
  /// and so on, until the optimum is a network that was timed. Of those whose interval lies within
  /// the budget, the one of the least noise; nullopt if there is none.
  std::optional<Found> run(double budget_s);
  /// Of all that were timed.
  const Found& fastest() const;
  int networks() const { return static_cast<int>(timed_.size()); }

  /// By layer and option, in the unit of costs: nanoseconds.
  std::vector<std::vector<KnapsackOption>> items() const;

 private:
  double noise_of(const ChosenOptions& chosen) const;
  double predict(const ChosenOptions& chosen) const;
  /// Its layers' times become those of its options; only where there is none yet, if `first`.
  void learn(const Found& found, bool first);
  const Found* find(const ChosenOptions& chosen) const;
  /// By what is known now.
  ChosenOptions fastest_options() const;
  const Found& time(const ChosenOptions& chosen);

  LatencyProblem problem_;
  LatencyMeter& meter_;
  std::vector<std::vector<double>> seconds_;  // by layer and option; below 0: not known
  std::vector<Found> timed_;
};

constexpr double kNanosecond = 1e-9;

}  // namespace nibble
#pragma GCC visibility pop
