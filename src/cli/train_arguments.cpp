#include "cli/train_arguments.h"

#include <fmt/format.h>

#include <cmath>

#include "nibble/evaluate.h"
#include "report/format.h"
#include "train/options.h"
#include "verbs/json.h"

namespace nibble::cli {

void TrainArguments::declare(CLI::App& app, const TrainOptions* defaults, bool distill) {
  flags.declare(app, train_option_rows(), "Training", defaults, distill ? "" : "distill");
}

TrainChoices TrainArguments::choices() const {
  return [this](TrainOptions options) {
    flags.apply(options);
    return options;
  };
}

void finish_training(const TrainResult& result, const std::string& output, const Target& target,
                     ProgressBar& progress, bool json) {
  const uint64_t bytes = save_model(result.graph, output, target);
  progress.clear();
  if (json) {
    Json summary = {{"output", output}, {"bytes", bytes}};
    summary.update(to_json(result));
    print_json(summary);
    return;
  }
  const Epoch& best = result.epochs.at(static_cast<size_t>(result.best_epoch));
  const auto right =
      std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
  Evaluation evaluation{.samples = best.validation_samples, .correct = right};
  evaluation.interval = binomial_interval(right, best.validation_samples);
  tell("{}: {}; best of {} epochs was epoch {}\nvalidation accuracy {}\n", output,
       format_bytes(bytes), result.epochs.size(), result.best_epoch + 1,
       format_accuracy(evaluation));
}

}  // namespace nibble::cli
