// Learning how to round the weights of a block.
#pragma once

#include "train/backend.h"

namespace nibble {

/// See TrainBackend::reconstruct().
Graph reconstruct_block(const Graph& block, const Graph& real, const BlockToLearn& task,
                        const ReconstructionOptions& options);

}  // namespace nibble
