// The course of a training, written down while it goes on: JSON lines and event files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nibble/train.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Where a log begins.
struct LogStart {
  bool resumes = false;  // the training is gone on with, and so is its log
  int64_t step = 0;      // done before
  int epochs = 0;        // ended before
  int64_t steps_per_epoch = 0;
  int64_t training_samples = 0;
  int64_t validation_samples = 0;
  bool labelled = true;
};

/// Those that the options name. Throws Error{io}, as their calls do.
std::vector<std::unique_ptr<TrainObserver>> open_logs(const TrainOptions& options,
                                                      const LogStart& start);

/// A log with an entry for each so many steps, whose loss is the mean of theirs.
class StepLog : public TrainObserver {
 public:
  explicit StepLog(int every) : every_(every) {}
  void on_step(const TrainStep& step) final;

 protected:
  virtual void write_step(const TrainStep& step) = 0;

 private:
  int every_;
  double loss_ = 0;
  int64_t steps_ = 0;
};

/// What an epoch's score is of: the metric, or "accuracy".
std::string score_name(const TrainOptions& options);

std::unique_ptr<TrainObserver> open_json_log(const TrainOptions& options, const LogStart& start);
std::unique_ptr<TrainObserver> open_event_log(const TrainOptions& options, const LogStart& start);

}  // namespace nibble
#pragma GCC visibility pop
