// What training minimises and counts.
#pragma once

#include <torch/torch.h>

#include "nibble/train.h"

namespace nibble {

/// Where a classifier's loss is taken.
struct Head {
  ValueId logits;
  bool sigmoid = false;  // one output: the probability of class 1
};
/// The first output, or what its Softmax, LogSoftmax or Sigmoid reads.
Head find_head(const Graph& graph);

/// Logits as [n, outputs]. Throws Error{invalid_argument} if their number does not fit the classes.
torch::Tensor check_logits(const torch::Tensor& logits, const Head& head, int classes);

/// Mean cross entropy (binary for a sigmoid) with label smoothing; `teacher` (may be undefined)
/// holds the float network's logits, which take the share options.distill.
torch::Tensor classification_loss(const torch::Tensor& logits, const torch::Tensor& labels,
                                  const torch::Tensor& teacher, const Head& head,
                                  const TrainOptions& options);

int64_t count_correct(const torch::Tensor& logits, const torch::Tensor& labels, const Head& head);

}  // namespace nibble
