#include "train/options.h"

#include "base/option_rows.h"

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

std::vector<OptionRow<TrainOptions>> make_rows() {
  return {
      plain({.flag = "--epochs",
             .key = "epochs",
             .help = "Passes over the training data",
             .least = 1},
            &TrainOptions::epochs),
      plain({.flag = "--batch", .key = "batch", .help = "Samples per step", .least = 1},
            &TrainOptions::batch),
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
      plain({.flag = "--flip", .key = "flip", .help = "Augment: mirror left-right at random"},
            &TrainOptions::flip),
      plain({.flag = "--crop-padding",
             .key = "crop_padding",
             .help = "Augment: pad by this many pixels, then crop at random",
             .least = 0},
            &TrainOptions::crop_padding),
      choice<Device>({.flag = "--device",
                      .key = "device",
                      .help = "Where to train (best: CUDA where there is one)"},
                     {{"cpu", Device::cpu}, {"cuda", Device::cuda}, {"best", Device::best}},
                     &TrainOptions::device),
      plain({.flag = "--checkpoint",
             .key = "checkpoint",
             .help = "File written after each epoch; training resumes from it if it exists"},
            &TrainOptions::checkpoint),
  };
}

}  // namespace

std::span<const OptionRow<TrainOptions>> train_option_rows() {
  static const std::vector<OptionRow<TrainOptions>> rows = make_rows();
  return rows;
}

}  // namespace nibble
