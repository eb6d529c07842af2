#include "runtime/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace nibble {
namespace {

size_t rounded(size_t bytes) {
  return (bytes + MemoryPlan::kAlignment - 1) / MemoryPlan::kAlignment * MemoryPlan::kAlignment;
}

bool alive_together(const MemoryBlock& a, const MemoryBlock& b) {
  return a.first <= b.last && b.first <= a.last;
}

}  // namespace

MemoryPlan plan_memory(std::span<const MemoryBlock> blocks) {
  std::vector<size_t> by_size(blocks.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::ranges::stable_sort(by_size,
                           [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  MemoryPlan plan;
  plan.offsets.resize(blocks.size(), 0);
  std::vector<size_t> placed;  // by offset
  for (size_t index : by_size) {
    const size_t bytes = rounded(blocks[index].bytes);
    size_t best = 0;
    size_t best_gap = std::numeric_limits<size_t>::max();
    size_t end = 0;  // of the neighbours seen so far
    for (size_t other : placed) {
      if (!alive_together(blocks[index], blocks[other])) continue;
      const size_t begin = plan.offsets[other];
      if (begin >= end && begin - end >= bytes && begin - end < best_gap) {
        best = end;
        best_gap = begin - end;
      }
      end = std::max(end, begin + rounded(blocks[other].bytes));
    }
    if (best_gap == std::numeric_limits<size_t>::max()) best = end;
    plan.offsets[index] = best;
    plan.bytes = std::max(plan.bytes, best + bytes);
    placed.insert(
        std::ranges::upper_bound(placed, best, {}, [&](size_t i) { return plan.offsets[i]; }),
        index);
  }
  return plan;
}

}  // namespace nibble
