#include "quant/knapsack.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace nibble {
namespace {

// A choice for the first items: the state it extends, and the option taken for the last item.
struct State {
  int64_t cost = 0;
  double loss = 0;
  size_t before = 0;
  size_t option = 0;
};

// Sorted by cost, with falling loss: what no other state beats.
void keep_undominated(std::vector<State>& states) {
  std::ranges::sort(states, [](const State& a, const State& b) {
    return a.cost != b.cost ? a.cost < b.cost : a.loss < b.loss;
  });
  double least = std::numeric_limits<double>::infinity();
  std::erase_if(states, [&](const State& state) {
    if (state.loss >= least) return true;
    least = state.loss;
    return false;
  });
}

// Within a bucket of costs the last state has the least loss. The cheapest state of all is kept, so
// that what can be met stays so.
void thin(std::vector<State>& states, int64_t budget, size_t limit) {
  if (states.size() <= limit) return;
  const int64_t bucket = std::max<int64_t>(budget / static_cast<int64_t>(limit), 1);
  std::vector<State> kept = {states[0]};
  for (size_t i = 1; i < states.size(); ++i) {
    const bool last = i + 1 == states.size();
    if (last || states[i].cost / bucket != states[i + 1].cost / bucket) kept.push_back(states[i]);
  }
  states = std::move(kept);
}

int64_t cheapest(const std::vector<KnapsackOption>& options) {
  return std::ranges::min_element(options, {}, &KnapsackOption::cost)->cost;
}

int64_t sum_of_cheapest(std::span<const std::vector<KnapsackOption>> items) {
  int64_t sum = 0;
  for (const auto& options : items) {
    check(!options.empty(), "an item without options");
    sum += cheapest(options);
  }
  return sum;
}

// By number of items, the states for the first ones; those after the last item are the answers.
using Fronts = std::vector<std::vector<State>>;

Fronts find_fronts(std::span<const std::vector<KnapsackOption>> items, int64_t budget,
                   size_t limit) {
  int64_t still_needed = sum_of_cheapest(items);  // by the items to come, at the least
  Fronts fronts = {{State{}}};
  for (const auto& options : items) {
    still_needed -= cheapest(options);
    std::vector<State> next;
    for (size_t s = 0; s < fronts.back().size(); ++s) {
      const State& state = fronts.back()[s];
      for (size_t o = 0; o < options.size(); ++o) {
        const int64_t cost = state.cost + options[o].cost;
        if (cost + still_needed <= budget) {
          next.push_back({cost, state.loss + options[o].loss, s, o});
        }
      }
    }
    keep_undominated(next);
    thin(next, budget, limit);
    fronts.push_back(std::move(next));
  }
  return fronts;
}

// The options that led to a state after the last item.
std::vector<size_t> trace(const Fronts& fronts, size_t state) {
  std::vector<size_t> chosen(fronts.size() - 1);
  for (size_t i = chosen.size(); i > 0; --i) {
    chosen[i - 1] = fronts[i][state].option;
    state = fronts[i][state].before;
  }
  return chosen;
}

}  // namespace

std::optional<std::vector<size_t>> solve_knapsack(
    std::span<const std::vector<KnapsackOption>> items, int64_t budget, size_t limit) {
  if (sum_of_cheapest(items) > budget) return std::nullopt;
  const Fronts fronts = find_fronts(items, budget, limit);
  return trace(fronts, fronts.back().size() - 1);  // the last has the least loss
}

std::vector<KnapsackPoint> knapsack_front(std::span<const std::vector<KnapsackOption>> items,
                                          size_t points, size_t limit) {
  int64_t dearest = 0;
  for (const auto& options : items) {
    dearest += std::ranges::max_element(options, {}, &KnapsackOption::cost)->cost;
  }
  const Fronts fronts = find_fronts(items, dearest, limit);
  const std::vector<State>& all = fronts.back();
  const size_t count = std::min(points, all.size());
  std::vector<KnapsackPoint> front;
  for (size_t i = 0; i < count; ++i) {
    const size_t state = count > 1 ? i * (all.size() - 1) / (count - 1) : 0;
    front.push_back({all[state].cost, all[state].loss, trace(fronts, state)});
  }
  return front;
}

}  // namespace nibble
