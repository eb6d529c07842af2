#include "cli/train_arguments.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "nibble/evaluate.h"
#include "report/format.h"

namespace nibble::cli {

void TrainArguments::declare(CLI::App& app) {
  const std::string group = "Training";
  app.add_option("--epochs", epochs, "Passes over the training data")
      ->check(positive())
      ->group(group);
  app.add_option("--batch", batch, "Samples per step")->check(positive())->group(group);
  app.add_option("--lr", learning_rate, "Highest learning rate; cosine schedule after a warm-up")
      ->check(positive())
      ->group(group);
  app.add_option("--optimizer", optimizer, "sgd or adamw")
      ->check(CLI::IsMember({"sgd", "adamw"}))
      ->group(group);
  app.add_option("--weight-decay", weight_decay, "Weight decay")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  app.add_option("--label-smoothing", label_smoothing,
                 "Share of the target spread over all classes")
      ->check(CLI::Range(0.0, 0.9))
      ->group(group);
  app.add_option("--distill", distill,
                 "Share of the loss taken from the float model's outputs (qat only)")
      ->check(CLI::Range(0.0, 1.0))
      ->group(group);
  app.add_flag("--flip", flip, "Augment: mirror left-right at random")->group(group);
  app.add_option("--crop-padding", crop_padding,
                 "Augment: pad by this many pixels, then crop at random")
      ->check(CLI::NonNegativeNumber)
      ->group(group);
  app.add_option("--device", device, "cpu, cuda, or best: CUDA where there is one")
      ->check(CLI::IsMember({"cpu", "cuda", "best"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--checkpoint", checkpoint,
                 "File written after each epoch; training resumes from it if it exists")
      ->group(group);
}

TrainOptions TrainArguments::resolve(TrainOptions options, const CommonOptions& common,
                                     ProgressBar* progress) const {
  if (epochs > 0) options.epochs = epochs;
  if (batch > 0) options.batch = batch;
  if (learning_rate > 0) options.learning_rate = learning_rate;
  if (optimizer == "sgd") options.optimizer = Optimizer::sgd;
  if (optimizer == "adamw") options.optimizer = Optimizer::adamw;
  if (weight_decay >= 0) options.weight_decay = weight_decay;
  if (label_smoothing >= 0) options.label_smoothing = label_smoothing;
  if (distill >= 0) options.distill = distill;
  if (flip) options.flip = true;
  if (crop_padding > 0) options.crop_padding = crop_padding;
  if (device == "cuda") options.device = Device::cuda;
  if (device == "best") options.device = Device::best;
  options.checkpoint = checkpoint;
  options.seed = common.seed;
  options.threads = common.threads;
  options.progress = progress;
  return options;
}

TrainingData open_training_data(const DataArguments& data, const Graph* model, uint64_t seed) {
  return {data.open(Split::train, model, seed), data.open(Split::validation, model, seed)};
}

void print_training_summary(const TrainResult& result, const std::string& output, bool json) {
  const Epoch& best = result.epochs.at(static_cast<size_t>(result.best_epoch));
  const auto right =
      std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
  Evaluation evaluation{.samples = best.validation_samples, .correct = right};
  evaluation.interval = binomial_interval(right, best.validation_samples);
  const auto bytes = static_cast<uint64_t>(std::filesystem::file_size(output));
  if (!json) {
    fmt::print("{}: {}; best of {} epochs was epoch {}\nvalidation accuracy {}\n", output,
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
