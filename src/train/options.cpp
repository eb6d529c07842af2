#include "train/options.h"

#include <algorithm>
#include <array>

#include "base/option_rows.h"
#include "train/augmentations/augmentation.h"

namespace nibble {
namespace {

template <typename Member>
OptionRow<TrainOptions> plain(OptionSpec spec, Member TrainOptions::*member) {
  return option<TrainOptions>(
      std::move(spec), [member](auto& o) -> auto& { return o.*member; });
}

template <typename T>
OptionRow<TrainOptions> choice(OptionSpec spec, std::vector<std::pair<std::string, T>> choices,
                               T TrainOptions::*member) {
  return choice_option<TrainOptions>(
      std::move(spec), std::move(choices), [member](auto& o) -> auto& { return o.*member; });
}

std::vector<OptionRow<TrainOptions>> of_training() {
  return {
      plain({.flag = "--epochs",
             .key = "epochs",
             .help = "Passes over the training data",
             .least = 1},
            &TrainOptions::epochs),
      plain({.flag = "--batch", .key = "batch", .help = "Samples per step", .least = 1},
            &TrainOptions::batch),
      plain({.flag = "--accumulate",
             .key = "accumulate",
             .help = "Add up the gradients of so many batches for a step: it is as one of a larger "
                     "batch, in the memory of a small one",
             .least = 1},
            &TrainOptions::accumulate),
      plain({.flag = "--lr",
             .key = "learning_rate",
             .help = "Highest learning rate (cosine schedule after a warm-up)",
             .above = 0},
            &TrainOptions::learning_rate),
      choice<Optimizer>({.flag = "--optimizer", .key = "optimizer", .help = "Optimizer"},
                        {{"sgd", Optimizer::sgd}, {"adamw", Optimizer::adamw}},
                        &TrainOptions::optimizer),
      plain({.flag = "--weight-decay", .key = "weight_decay", .help = "Weight decay", .least = 0},
            &TrainOptions::weight_decay),
      plain({.flag = "--label-smoothing",
             .key = "label_smoothing",
             .help = "Share of the target spread over all classes",
             .least = 0,
             .most = 0.9},
            &TrainOptions::label_smoothing),
      plain({.flag = "--distill",
             .key = "distill",
             .help = "With labels: share of the loss taken from the float model's outputs",
             .least = 0,
             .most = 1},
            &TrainOptions::distill),
      choice<Loss>({.flag = "--loss",
                    .key = "loss",
                    .help = "What is minimised (auto: of the labels, or without labels sqnr, or "
                            "distill where the only output is a Softmax)"},
                   {{"auto", Loss::automatic},
                    {"cross_entropy", Loss::cross_entropy},
                    {"binary", Loss::binary},
                    {"distill", Loss::distill},
                    {"mse", Loss::mse},
                    {"mae", Loss::mae},
                    {"sqnr", Loss::sqnr}},
                   &TrainOptions::loss),
      choice<Augment>(
          {.flag = "--augment",
           .key = "augment",
           .help = "Augment images: given (as the flags below say) or auto (also mirror "
                   "and crop, where the float model bears it)"},
          {{"given", Augment::given}, {"auto", Augment::automatic}}, &TrainOptions::augment),
  };
}

// Where it is done, what ends it, what is kept and told.
std::vector<OptionRow<TrainOptions>> of_keeping() {
  return {
      choice<Device>({.flag = "--device",
                      .key = "device",
                      .help = "Where to train (best: CUDA where there is one)"},
                     {{"cpu", Device::cpu}, {"cuda", Device::cuda}, {"best", Device::best}},
                     &TrainOptions::device),
      plain({.flag = "--checkpoint",
             .key = "checkpoint",
             .help = "File that keeps where training is; from there it goes on if the file exists, "
                     "with the same result as if it had never stopped"},
            &TrainOptions::checkpoint),
      plain({.flag = "--checkpoint-every",
             .key = "checkpoint_every",
             .help = "Write the checkpoint after so many steps, too (0: by time and after each "
                     "epoch)",
             .least = 0},
            &TrainOptions::checkpoint_every),
      plain({.flag = "--checkpoint-seconds",
             .key = "checkpoint_seconds",
             .help = "Write it when it is so old, too",
             .least = 0},
            &TrainOptions::checkpoint_seconds),
      plain({.flag = "--resume",
             .key = "resume",
             .help = "Go on from the checkpoint, and do not begin anew where there is none"},
            &TrainOptions::resume),
      plain({.flag = "--patience",
             .key = "patience",
             .help = "End after so many epochs without a better one (0: never)",
             .least = 0},
            &TrainOptions::patience),
      plain({.flag = "--metric",
             .key = "metric",
             .help =
                 "Metric that chooses the best epoch, measured as eval --metric does it (default: "
                 "accuracy; without labels the loss)"},
            &TrainOptions::metric),
      plain(
          {.flag = "--log", .key = "log", .help = "File for the course of training, in JSON lines"},
          &TrainOptions::log),
      plain({.flag = "--tensorboard",
             .key = "tensorboard",
             .help = "Folder for the same, for TensorBoard"},
            &TrainOptions::tensorboard),
      plain({.flag = "--log-every",
             .key = "log_every",
             .help = "Steps between entries of both",
             .least = 1},
            &TrainOptions::log_every),
  };
}

// With the strengths of the augmentations, which have a table of their own.
std::vector<OptionRow<TrainOptions>> make_rows() {
  std::vector<OptionRow<TrainOptions>> rows = of_training();
  for (const AugmentationRow& row : augmentations()) rows.push_back(row.option);
  const auto more = of_keeping();
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}
}  // namespace

std::span<const OptionRow<TrainOptions>> train_option_rows() {
  static const std::vector<OptionRow<TrainOptions>> rows = make_rows();
  return rows;
}

bool shapes_result(const OptionSpec& spec) {
  constexpr std::array<std::string_view, 7> kOnlyKeep = {
      "checkpoint", "checkpoint_every", "checkpoint_seconds", "resume",
      "log",        "tensorboard",      "log_every"};
  return std::ranges::find(kOnlyKeep, spec.key) == kOnlyKeep.end();
}

}  // namespace nibble
