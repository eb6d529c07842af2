// The table of losses: what training can minimise, one row each.
#pragma once

#include <torch/torch.h>

#include <span>

#include "nibble/train.h"

namespace nibble {

/// One output of the network for some samples, and what it is compared with.
struct LossInput {
  torch::Tensor output;   // [n, outputs] scores where the loss reads scores, else of any shape
  torch::Tensor labels;   // [n], int64; undefined without labels
  torch::Tensor teacher;  // the teacher's output, shaped like `output`; undefined without a teacher
  bool sigmoid = false;   // the scores are one, that of class 1
  double smoothing = 0;   // of labels, TrainOptions::label_smoothing
  double power = 1;       // mean square of the teacher's output in the training data
};

struct LossRow {
  Loss loss = Loss::automatic;
  bool reads_scores = false;  // what a Softmax or Sigmoid at the end reads, not what it gives
  /// The mean over the samples.
  torch::Tensor (*run)(const LossInput&) = nullptr;
};

/// A row for each Loss but `automatic`.
const LossRow& find_loss(Loss loss);

}  // namespace nibble
