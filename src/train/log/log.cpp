#include "train/log/log.h"

namespace nibble {

void StepLog::on_step(const TrainStep& step) {
  loss_ += step.loss;
  ++steps_;
  if (step.step % every_ != 0) return;
  TrainStep mean = step;
  mean.loss = loss_ / static_cast<double>(steps_);
  loss_ = 0;
  steps_ = 0;
  write_step(mean);
}

std::string score_name(const TrainOptions& options) {
  return options.judge ? options.judge->metric : "accuracy";
}

std::vector<std::unique_ptr<TrainObserver>> open_logs(const TrainOptions& options,
                                                      const LogStart& start) {
  std::vector<std::unique_ptr<TrainObserver>> logs;
  if (!options.log.empty()) logs.push_back(open_json_log(options, start));
  if (!options.tensorboard.empty()) logs.push_back(open_event_log(options, start));
  return logs;
}

}  // namespace nibble
