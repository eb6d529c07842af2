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

}  // namespace

std::optional<std::vector<size_t>> solve_knapsack(
    std::span<const std::vector<KnapsackOption>> items, int64_t budget, size_t limit) {
  int64_t still_needed = 0;  // by the items to come, at the least
  for (const auto& options : items) {
    check(!options.empty(), "an item without options");
    still_needed += cheapest(options);
  }
  if (still_needed > budget) return std::nullopt;
  std::vector<std::vector<State>> fronts = {{State{}}};
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
  std::vector<size_t> chosen(items.size());
  size_t state = fronts.back().size() - 1;  // the last has the least loss
  for (size_t i = items.size(); i > 0; --i) {
    chosen[i - 1] = fronts[i][state].option;
    state = fronts[i][state].before;
  }
  return chosen;
}

}  // namespace nibble
