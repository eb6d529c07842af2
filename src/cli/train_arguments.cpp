#include "cli/train_arguments.h"

#include <fmt/format.h>

#include <cmath>

#include "base/file.h"
#include "nibble/evaluate.h"
#include "report/format.h"
#include "train/options.h"

namespace nibble::cli {

void TrainArguments::declare(CLI::App& app, const TrainOptions* defaults, bool distill) {
  flags.declare(app, train_option_rows(), "Training", defaults, distill ? "" : "distill");
}

TrainOptions TrainArguments::resolve(TrainOptions options, const CommonOptions& common,
                                     ProgressBar* progress) const {
  flags.apply(options);
  if (!options.checkpoint.empty()) check_writable(options.checkpoint);
  options.seed = common.seed;
  options.threads = common.threads;
  options.progress = progress;
  return options;
}

TrainingData open_training_data(const DataArguments& data, const Graph* model, uint64_t seed) {
  return {data.open(Split::train, model, seed), data.open(Split::validation, model, seed)};
}

void print_training_summary(const TrainResult& result, const std::string& output, uint64_t bytes,
                            bool json) {
  const Epoch& best = result.epochs.at(static_cast<size_t>(result.best_epoch));
  const auto right =
      std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
  Evaluation evaluation{.samples = best.validation_samples, .correct = right};
  evaluation.interval = binomial_interval(right, best.validation_samples);
  if (!json) {
    tell("{}: {}; best of {} epochs was epoch {}\nvalidation accuracy {}\n", output,
         format_bytes(bytes), result.epochs.size(), result.best_epoch + 1,
         format_accuracy(evaluation));
    return;
  }
  Json epochs = Json::array();
  for (const Epoch& epoch : result.epochs) {
    epochs.push_back({{"train_loss", epoch.train_loss},
                      {"validation_accuracy", epoch.validation_accuracy},
                      {"validation_samples", epoch.validation_samples},
                      {"learning_rate", epoch.learning_rate}});
  }
  print_json({{"output", output},
              {"bytes", bytes},
              {"best_epoch", result.best_epoch + 1},
              {"validation_accuracy", best.validation_accuracy},
              {"validation_samples", best.validation_samples},
              {"interval_95", {evaluation.interval.low, evaluation.interval.high}},
              {"epochs", epochs}});
}

}  // namespace nibble::cli
