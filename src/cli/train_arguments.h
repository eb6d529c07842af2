// The options of training, shared by `train`, `qat` and `finetune`.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/option_flags.h"
#include "nibble/train.h"

namespace nibble::cli {

/// The table of train/options.h as flags.
struct TrainArguments {
  OptionFlags<TrainOptions> flags;
  /// `defaults`, where they are known, are told by help. Without --distill, where there is no float
  /// model to learn from.
  void declare(CLI::App& app, const TrainOptions* defaults, bool distill = false);
  /// `defaults` with what was given on the command line.
  TrainOptions resolve(TrainOptions defaults, const CommonOptions& common,
                       ProgressBar* progress) const;
};

/// The training and the validation part of a data set.
struct TrainingData {
  std::shared_ptr<const Dataset> training;
  std::shared_ptr<const Dataset> validation;
};
TrainingData open_training_data(const DataArguments& data, const Graph* model, uint64_t seed);

/// What train, qat and finetune say at the end: the best epoch and its validation accuracy, the
/// file and its size.
void print_training_summary(const TrainResult& result, const std::string& output, uint64_t bytes,
                            bool json);

}  // namespace nibble::cli
