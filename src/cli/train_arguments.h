// The options of training, shared by `train`, `qat` and `finetune`.
#pragma once

#include <string>

#include "cli/command.h"
#include "cli/option_flags.h"
#include "nibble/train.h"
#include "verbs/train.h"

namespace nibble::cli {

/// The table of train/options.h as flags.
struct TrainArguments {
  OptionFlags<TrainOptions> flags;
  /// `defaults`, where they are known, are told by help. Without --distill, where there is no float
  /// model to learn from.
  void declare(CLI::App& app, const TrainOptions* defaults, bool distill = false);
  /// What was given on the command line, over what is usual; `observer` is told how it goes. Lives
  /// as long as this.
  TrainChoices choices(TrainObserver* observer) const;
};

/// A progress bar that says the loss, the last epoch's score, the pace and the time left in all.
class TrainingBar final : public ProgressBar, public TrainObserver {
 public:
  void on_step(const TrainStep& step) override;
  void on_start(const Epoch& epoch) override { last_ = epoch; }
  void on_epoch(int, int64_t, const Epoch& epoch, bool) override { last_ = epoch; }

 private:
  Epoch last_;
};

/// What training made, for machines: `from`, the file and its size, the bits of each quantized
/// layer, all epochs.
Json training_json(const Trained& result, const std::string& output, uint64_t bytes,
                   const Json& from);

/// What remains to be said of a training.
struct TrainingEnd {
  std::string_view verb;  // "qat"
  Json from;              // what it started from: {"model": FILE} or {"architecture": NAME}
  std::string output;
  const Target& target;
};
/// Writes what train, qat and finetune made, and says the best epoch, its validation accuracy or
/// how near its outputs are to the teacher's, the file and its size.
void finish_training(const Trained& result, const TrainingEnd& end, ProgressBar& progress,
                     const CommonOptions& common);

}  // namespace nibble::cli
