#include "quant/knapsack.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace nibble {
namespace {

struct Total {
  int64_t cost = 0;
  double loss = 0;
};

Total total_of(const std::vector<std::vector<KnapsackOption>>& items,
               const std::vector<size_t>& chosen) {
  Total total;
  for (size_t i = 0; i < items.size(); ++i) {
    total.cost += items[i][chosen[i]].cost;
    total.loss += items[i][chosen[i]].loss;
  }
  return total;
}

double least_loss(const std::vector<std::vector<KnapsackOption>>& items, int64_t budget) {
  std::vector<size_t> chosen(items.size(), 0);
  double least = 1e300;
  for (;;) {
    const Total total = total_of(items, chosen);
    if (total.cost <= budget) least = std::min(least, total.loss);
    size_t i = 0;
    while (i < items.size() && ++chosen[i] == items[i].size()) chosen[i++] = 0;
    if (i == items.size()) return least;
  }
}

TEST(knapsack, finds_what_trying_everything_finds) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::vector<KnapsackOption>> items(1 + random.below(7));
    int64_t cheapest = 0, dearest = 0;
    for (auto& item : items) {
      item.resize(1 + random.below(4));
      int64_t low = 1 << 30, high = 0;
      for (auto& option : item) {
        option = {static_cast<int64_t>(random.below(50)), random.uniform()};
        low = std::min(low, option.cost);
        high = std::max(high, option.cost);
      }
      cheapest += low;
      dearest += high;
    }
    const int64_t budget =
        cheapest +
        static_cast<int64_t>(random.below(static_cast<uint64_t>(dearest - cheapest) + 1));
    const auto chosen = solve_knapsack(items, budget);
    ASSERT_TRUE(chosen);
    const Total total = total_of(items, *chosen);
    EXPECT_LE(total.cost, budget);
    EXPECT_NEAR(total.loss, least_loss(items, budget), 1e-12);
    EXPECT_FALSE(solve_knapsack(items, cheapest - 1));
  }
}

TEST(knapsack, stays_within_the_budget_and_near_the_optimum_when_thinned) {
  Random random(6);
  std::vector<std::vector<KnapsackOption>> items(60);
  int64_t cheapest = 0;
  for (auto& item : items) {
    const auto weights = static_cast<int64_t>(1000 + random.below(1000000));
    item = {{8 * weights, 0.001 * random.uniform()}, {4 * weights, random.uniform()}};
    cheapest += 4 * weights;
  }
  const int64_t budget = cheapest * 3 / 2;
  const auto rough = solve_knapsack(items, budget, 2000);
  const auto fine = solve_knapsack(items, budget, 200000);
  ASSERT_TRUE(rough && fine);
  EXPECT_LE(total_of(items, *rough).cost, budget);
  EXPECT_LE(total_of(items, *rough).loss, 1.02 * total_of(items, *fine).loss);
  EXPECT_TRUE(solve_knapsack(items, cheapest, 10));
}

TEST(knapsack, the_front_is_what_nothing_beats_among_all_choices) {
  Random random(7);
  for (int round = 0; round < 100; ++round) {
    std::vector<std::vector<KnapsackOption>> items(1 + random.below(6));
    for (auto& item : items) {
      item.resize(1 + random.below(4));
      for (auto& option : item) option = {static_cast<int64_t>(random.below(50)), random.uniform()};
    }
    const std::vector<KnapsackPoint> front = knapsack_front(items, 100000);
    for (size_t i = 0; i < front.size(); ++i) {
      const Total total = total_of(items, front[i].chosen);
      EXPECT_EQ(total.cost, front[i].cost);
      EXPECT_NEAR(total.loss, front[i].loss, 1e-12);
      EXPECT_NEAR(front[i].loss, least_loss(items, front[i].cost), 1e-12);
      if (i > 0) {
        EXPECT_GT(front[i].cost, front[i - 1].cost);
        EXPECT_LT(front[i].loss, front[i - 1].loss);
        // Nothing lies between two of them.
        EXPECT_NEAR(least_loss(items, front[i].cost - 1), front[i - 1].loss, 1e-12);
      }
    }
    EXPECT_NEAR(front.back().loss, least_loss(items, 1000), 1e-12);
    const std::vector<KnapsackPoint> ends = knapsack_front(items, 2);
    EXPECT_EQ(ends.front().cost, front.front().cost);
    EXPECT_EQ(ends.back().loss, front.back().loss);
    EXPECT_LE(ends.size(), 2U);
  }
}

}  // namespace
}  // namespace nibble
