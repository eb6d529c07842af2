// The options of training, shared by `train`, `qat` and `finetune`.
#pragma once

#include <string>

#include "cli/command.h"
#include "nibble/train.h"

namespace nibble::cli {

struct TrainArguments {
  int epochs = 0;  // 0, here and below: the command's own default
  int batch = 0;
  double learning_rate = 0;
  std::string optimizer;
  double weight_decay = -1;
  double label_smoothing = -1;
  double distill = -1;
  bool flip = false;
  int crop_padding = 0;
  std::string device = "cpu";
  std::string checkpoint;
  void declare(CLI::App& app);
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
void print_training_summary(const TrainResult& result, const std::string& output, bool json);

}  // namespace nibble::cli
