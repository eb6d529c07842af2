// nibble finetune: train on from an already quantized model, whoever quantized it.
#include "cli/train_arguments.h"
#include "nibble/onnx.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  std::string target{default_target().name};
  DataArguments data;
  TrainArguments training;
  CommonOptions common;
};

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  const Target& target = find_target(arguments.target);
  ProgressBar progress;
  const TrainResult result =
      finetune_model(load_model(arguments.model), arguments.model, target, arguments.data.source(),
                     arguments.training.choices(), arguments.common.settings(&progress));
  finish_training(result, {"finetune", {{"model", arguments.model}}, arguments.output, target},
                  progress, arguments.common);
  return 0;
}

}  // namespace

std::function<int()> declare_finetune(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Quantized ONNX model (QDQ)")
      ->type_name("FILE")
      ->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")
      ->type_name("FILE")
      ->required();
  declare_target(app, arguments->target);
  arguments->data.declare(app);
  static const TrainOptions defaults = finetune_defaults();
  arguments->training.declare(app, &defaults);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
