// Learned rounding: the weights of a block are rounded so that the block gives what it gave in
// float. AdaRound (Nagel et al. 2020, arXiv:2004.10568) does so layer by layer, BRECQ (Li et al.
// 2021, arXiv:2102.05426) block by block.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/progress.h"
#include "nibble/tensor.h"

#pragma GCC visibility push(default)
namespace nibble {

inline constexpr std::string_view kLearningToRound = "learning to round";  // what progress says

/// What a block sees and is to give, sample by sample along the first axis of every tensor where
/// the network keeps samples apart.
struct BlockSamples {
  struct Batch {
    std::vector<Tensor> inputs;            // of the float network, by input of the block
    std::vector<Tensor> quantized_inputs;  // of the network whose blocks before are quantized
    std::vector<Tensor> results;           // of the float network, by output of the block
  };
  /// One with all samples where they are apart.
  std::vector<Batch> batches;
  bool apart = false;
};

struct BlockToLearn {
  std::set<std::string> weights;  // constants: their codes are learned, and the biases beside them
  std::set<std::string> grids;    // activations: their scales are learned
  /// Of `weights`, those whose codes know more than that they are near: learning starts there, not
  /// where the real weights lie.
  std::set<std::string> rounded;
  BlockSamples samples;
};

struct ReconstructionOptions {
  int64_t steps = 1000;
  int64_t batch = 16;
  uint64_t seed = 0;
  int threads = 0;
  /// Reports the steps of a block as steps [before, before + steps) of `total`.
  ProgressSink* progress = nullptr;
  int64_t before = 0;
  int64_t total = 0;
};

}  // namespace nibble
#pragma GCC visibility pop
