#include "runtime/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace nibble {
namespace {

TEST(memory_plan, blocks_that_live_at_the_same_time_never_overlap) {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<MemoryBlock> blocks(1 + random.below(60));
    for (MemoryBlock& block : blocks) {
      block.bytes = random.below(5) == 0 ? 0 : random.below(5000);
      block.first = static_cast<int>(random.below(40));
      block.last = block.first + static_cast<int>(random.below(8));
    }
    const MemoryPlan plan = plan_memory(blocks);
    for (size_t a = 0; a < blocks.size(); ++a) {
      EXPECT_EQ(plan.offsets[a] % MemoryPlan::kAlignment, 0u);
      EXPECT_LE(plan.offsets[a] + blocks[a].bytes, plan.bytes);
      for (size_t b = 0; b < a; ++b) {
        const bool lives = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
        const bool lies = plan.offsets[a] < plan.offsets[b] + blocks[b].bytes &&
                          plan.offsets[b] < plan.offsets[a] + blocks[a].bytes;
        EXPECT_FALSE(lives && lies) << "blocks " << a << " and " << b;
      }
    }
  }
}

TEST(memory_plan, a_chain_needs_two_buffers_however_long_it_is) {
  std::vector<MemoryBlock> chain;
  for (int step = 0; step < 50; ++step) chain.push_back({1024, step, step + 1});
  EXPECT_EQ(plan_memory(chain).bytes, 2048u);
}

TEST(memory_plan, needs_no_more_than_the_sum_and_no_less_than_the_widest_step) {
  Random random(11);
  for (int round = 0; round < 100; ++round) {
    std::vector<MemoryBlock> blocks(30);
    size_t sum = 0;
    std::vector<size_t> alive(60, 0);
    for (MemoryBlock& block : blocks) {
      block = {64 * random.below(100), static_cast<int>(random.below(40)), 0};
      block.last = block.first + static_cast<int>(random.below(10));
      sum += block.bytes;
      for (int step = block.first; step <= block.last; ++step) {
        alive[static_cast<size_t>(step)] += block.bytes;
      }
    }
    const size_t bytes = plan_memory(blocks).bytes;
    EXPECT_LE(bytes, sum);
    EXPECT_GE(bytes, *std::ranges::max_element(alive));
  }
}

TEST(memory_plan, nothing_to_place_needs_no_memory) { EXPECT_EQ(plan_memory({}).bytes, 0u); }

}  // namespace
}  // namespace nibble
