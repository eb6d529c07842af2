#include "cli/train_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/metric_output.h"
#include "nibble/evaluate.h"
#include "nibble/measure.h"
#include "report/format.h"
#include "train/options.h"
#include "verbs/json.h"
#include "verbs/layers.h"

namespace nibble::cli {

void TrainArguments::declare(CLI::App& app, const TrainOptions* defaults, bool distill) {
  flags.declare(app, train_option_rows(), "Training", defaults, distill ? "" : "distill");
}

TrainChoices TrainArguments::choices(TrainObserver* observer) const {
  return [this, observer](TrainOptions options) {
    flags.apply(options);
    options.observer = observer;
    return options;
  };
}

void TrainingBar::on_step(const TrainStep& step) {
  std::string text = fmt::format("loss {:.3g}", step.loss);
  if (last_.score) {
    text += fmt::format(", validation {:.4g}", last_.score->value);
  } else {
    text += fmt::format(", validation loss {:.3g}", last_.validation_loss);
  }
  set_detail(fmt::format("{}, {:.3g} samples/s, {} to the end", text, step.samples_per_second,
                         format_duration(step.seconds_left)));
}

Json training_json(const Trained& result, const std::string& output, uint64_t bytes,
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

namespace {

// Why there are not more epochs.
std::string told_end(const TrainResult& result) {
  if (!result.stopped_early) return "";
  return fmt::format("; training ended there, {} epochs after the last better one",
                     std::ssize(result.epochs) - (result.best_epoch + 1));
}

std::string told_best(const TrainResult& result) {
  const size_t count = result.epochs.size();
  if (result.best_epoch < 0) {
    return count == 1
               ? "the epoch made nothing better: the network is as it was"
               : fmt::format("none of {} epochs made anything better: the network is as it was",
                             count);
  }
  if (count == 1) return "after one epoch";
  return fmt::format("best of {} epochs was epoch {}", count, result.best_epoch + 1);
}

// By the metric that was asked for.
std::string told_metric(const TrainResult& result) {
  if (result.metric.empty()) return "";
  const std::vector<MetricInfo> metrics = metric_choices();
  const auto info = std::ranges::find(metrics, result.metric, &MetricInfo::name);
  const EpochScore& score = *result.best().score;
  const Measurement measured{.samples = score.samples,
                             .value = score.value,
                             .interval = {.low = score.low, .high = score.high},
                             .method = IntervalMethod::bootstrap};
  return fmt::format("\nvalidation {} {}", result.metric, format_measurement(measured, info->unit));
}

}  // namespace

void finish_training(const Trained& result, const TrainingEnd& end, ProgressBar& progress,
                     const CommonOptions& common) {
  const uint64_t bytes = save_model(result.graph, end.output, end.target);
  progress.clear();
  present(end.verb, training_json(result, end.output, bytes, end.from), common, [&] {
    const std::string epochs = told_best(result) + told_end(result);
    const std::string made =
        fmt::format("{}: {}; {}", end.output, format_bytes(bytes), epochs) + told_metric(result);
    if (!result.labelled) {
      tell("{}\nOn {} validation samples:\n", made,
           group_digits(result.epochs.front().validation_samples));
      print_reports(result.models, result.outputs, {.seed = common.seed});
      return;
    }
    const Epoch& best = result.best();
    const auto right =
        std::llround(best.validation_accuracy * static_cast<double>(best.validation_samples));
    Evaluation evaluation{.samples = best.validation_samples, .correct = right};
    evaluation.interval = binomial_interval(right, best.validation_samples);
    tell("{}\nvalidation accuracy {}\n", made, format_accuracy(evaluation));
  });
}

}  // namespace nibble::cli
