// Where the intermediate values of a program lie: blocks of one arena, reused as soon as nothing
// reads them any more.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace nibble {

/// A block is needed from step `first` to step `last`, both included.
struct MemoryBlock {
  size_t bytes = 0;
  int first = 0;
  int last = 0;
};

struct MemoryPlan {
  static constexpr size_t kAlignment = 64;
  std::vector<size_t> offsets;  // one per block, multiples of kAlignment
  size_t bytes = 0;             // of the whole arena
};

/// Greedy by size (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
/// 2020): the largest block first, each into the smallest gap that fits between the blocks already
/// placed whose lives overlap its own. Blocks whose lives overlap never overlap in memory.
MemoryPlan plan_memory(std::span<const MemoryBlock> blocks);

}  // namespace nibble
