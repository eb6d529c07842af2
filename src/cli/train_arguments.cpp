#include "cli/train_arguments.h"

#include <fmt/format.h>

#include <cmath>

#include "nibble/evaluate.h"
#include "report/format.h"
#include "train/options.h"
#include "verbs/json.h"
#include "verbs/layers.h"

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

Json training_json(const TrainResult& result, const std::string& output, uint64_t bytes,
                   const Json& from) {
  Json json = from;
  json.update({{"output", output}, {"bytes", bytes}, {"layers", Json::object()}});
  for (const LayerState& layer : layer_states(result.graph)) {
    if (layer.weight_bits >= 16) continue;  // real
    const int data = layer.activation_bits >= 16 ? 0 : layer.activation_bits;
    json["layers"][layer.node] = {{"weights", layer.weight_bits}, {"activations", data}};
  }
  json.update(to_json(result));
  return json;
}

void finish_training(const TrainResult& result, const TrainingEnd& end, ProgressBar& progress,
                     const CommonOptions& common) {
  const uint64_t bytes = save_model(result.graph, end.output, end.target);
  progress.clear();
  present(end.verb, training_json(result, end.output, bytes, end.from), common, [&] {
    const Epoch& best = result.epochs.at(static_cast<size_t>(result.best_epoch));
    const auto right =
        std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
    Evaluation evaluation{.samples = best.validation_samples, .correct = right};
    evaluation.interval = binomial_interval(right, best.validation_samples);
    const std::string epochs = result.epochs.size() == 1
                                   ? "after one epoch"
                                   : fmt::format("best of {} epochs was epoch {}",
                                                 result.epochs.size(), result.best_epoch + 1);
    tell("{}: {}; {}\nvalidation accuracy {}\n", end.output, format_bytes(bytes), epochs,
         format_accuracy(evaluation));
  });
}

}  // namespace nibble::cli
