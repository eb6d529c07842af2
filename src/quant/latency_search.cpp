#include "quant/latency_search.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nibble {
namespace {

constexpr int kRounds = 8;

}  // namespace

LatencySearch::LatencySearch(LatencyProblem problem, std::span<const LatencyVariant> uniform,
                             LatencyMeter& meter)
    : problem_(std::move(problem)), meter_(meter) {
  for (const auto& noise : problem_.noise) seconds_.emplace_back(noise.size(), -1.0);
  std::vector<Graph> graphs;
  for (const LatencyVariant& variant : uniform) graphs.push_back(*variant.graph);
  std::vector<TimedNetwork> times = meter_.time(graphs);
  for (size_t i = 0; i < times.size(); ++i) {
    const ChosenOptions& chosen = uniform[i].chosen;
    timed_.push_back({chosen, noise_of(chosen), times[i].median_s, std::move(times[i])});
    learn(timed_.back(), true);
  }
  for (const auto& options : seconds_) {
    check(std::ranges::all_of(options, [](double s) { return s >= 0; }), "every option was timed");
  }
}

double LatencySearch::noise_of(const ChosenOptions& chosen) const {
  double sum = 0;
  for (size_t i = 0; i < chosen.size(); ++i) sum += problem_.noise[i][chosen[i]];
  return sum;
}

double LatencySearch::predict(const ChosenOptions& chosen) const {
  double sum = 0;
  for (size_t i = 0; i < chosen.size(); ++i) sum += seconds_[i][chosen[i]];
  return sum;
}

void LatencySearch::learn(const Found& found, bool first) {
  std::vector<TimedLayer> layers;
  for (size_t i = 0; i < problem_.layers.size(); ++i) {
    layers.push_back({problem_.layers[i], problem_.in_float[i][found.chosen[i]]});
  }
  const std::vector<double> seconds = seconds_by_layer(found.timed, layers);
  for (size_t i = 0; i < seconds.size(); ++i) {
    double& known = seconds_[i][found.chosen[i]];
    if (!first || known < 0) known = seconds[i];
  }
}

const LatencySearch::Found* LatencySearch::find(const ChosenOptions& chosen) const {
  const auto found = std::ranges::find(timed_, chosen, &Found::chosen);
  return found == timed_.end() ? nullptr : &*found;
}

std::vector<std::vector<KnapsackOption>> LatencySearch::items() const {
  std::vector<std::vector<KnapsackOption>> items;
  for (size_t i = 0; i < seconds_.size(); ++i) {
    items.emplace_back();
    for (size_t o = 0; o < seconds_[i].size(); ++o) {
      items[i].push_back({std::llround(seconds_[i][o] / kNanosecond), problem_.noise[i][o]});
    }
  }
  return items;
}

ChosenOptions LatencySearch::fastest_options() const {
  ChosenOptions chosen;
  for (const auto& options : seconds_) {
    chosen.push_back(static_cast<size_t>(std::ranges::min_element(options) - options.begin()));
  }
  return chosen;
}

const LatencySearch::Found& LatencySearch::time(const ChosenOptions& chosen) {
  const double predicted = predict(chosen);
  const std::vector<Graph> graph = {problem_.make(chosen)};
  std::vector<TimedNetwork> times = meter_.time(graph);
  timed_.push_back({chosen, noise_of(chosen), predicted, std::move(times.at(0))});
  learn(timed_.back(), false);
  return timed_.back();
}

std::optional<LatencySearch::Found> LatencySearch::run(double budget_s) {
  // Each cost is rounded by half a nanosecond at most.
  const auto rounding = static_cast<int64_t>(seconds_.size() / 2 + 1);
  constexpr double kLongest = 1e9;  // seconds
  int64_t limit = std::llround(std::min(budget_s, kLongest) / kNanosecond) + rounding;
  for (int round = 0; round < kRounds; ++round) {
    const auto costs = items();
    const auto best = solve_knapsack(costs, limit);
    // Where nothing is fast enough, how near the fastest comes.
    const ChosenOptions chosen = best ? *best : fastest_options();
    const Found* known = find(chosen);
    if (known == nullptr) {
      time(chosen);
      continue;
    }
    if (!best || known->timed.high_s <= budget_s) break;
    // Its interval reaches beyond the budget: something that is faster by as much.
    int64_t cost = 0;
    for (size_t i = 0; i < chosen.size(); ++i) cost += costs[i][chosen[i]].cost;
    const double share = budget_s / known->timed.high_s;
    limit = std::min(cost - 1, static_cast<int64_t>(static_cast<double>(cost) * share));
  }
  const Found* found = nullptr;
  for (const Found& one : timed_) {
    if (one.timed.high_s > budget_s) continue;
    const bool better = found == nullptr || one.noise < found->noise ||
                        (one.noise == found->noise && one.timed.median_s < found->timed.median_s);
    if (better) found = &one;
  }
  return found == nullptr ? std::nullopt : std::optional(*found);
}

const LatencySearch::Found& LatencySearch::fastest() const {
  return *std::ranges::min_element(timed_, {}, [](const Found& one) { return one.timed.median_s; });
}

}  // namespace nibble
