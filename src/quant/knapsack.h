// The small integer program behind the choice of bit-widths: one option for each item.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace nibble {

struct KnapsackOption {
  int64_t cost = 0;
  double loss = 0;
};

/// One option (an index) per item such that the summed cost is at most `budget` and the summed loss
/// is least; among equals, of least cost. nullopt if even the cheapest options cost more. Dynamic
/// programming over the items, keeping the partial choices that no other beats in both cost and
/// loss. Exact while these number at most `limit`; above that, of those that cost the same to
/// budget / limit, the one of least loss is kept.
std::optional<std::vector<size_t>> solve_knapsack(
    std::span<const std::vector<KnapsackOption>> items, int64_t budget, size_t limit = 65536);

/// A choice that no other beats in both cost and loss.
struct KnapsackPoint {
  int64_t cost = 0;
  double loss = 0;
  std::vector<size_t> chosen;  // an option for each item
};

/// The Pareto front, cheapest first, from the least cost that can be had to the least loss: at most
/// `points` (2 or more) of it, its ends among them. Exact as solve_knapsack() is.
std::vector<KnapsackPoint> knapsack_front(std::span<const std::vector<KnapsackOption>> items,
                                          size_t points, size_t limit = 8192);

}  // namespace nibble
