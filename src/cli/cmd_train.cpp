// nibble train: a float network from scratch.
#include "cli/train_arguments.h"
#include "nibble/onnx.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string architecture;
  std::string output;
  DataArguments data;
  TrainArguments training;
  CommonOptions common;
};

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  TrainingBar progress;
  const Trained result = {train_architecture(arguments.architecture, arguments.data.source(),
                                             arguments.training.choices(&progress),
                                             arguments.common.settings(&progress))};
  finish_training(
      result,
      {"train", {{"architecture", arguments.architecture}}, arguments.output, default_target()},
      progress, arguments.common);
  return 0;
}

}  // namespace

std::function<int()> declare_train(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  OptionSpec network{.flag = "--arch", .help = "The network"};
  for (const ArchitectureRow& row : architectures()) {
    network.choices.push_back({std::string(row.name), std::string(row.summary)});
  }
  add_option(app, std::move(network), arguments->architecture)->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write")
      ->type_name("FILE")
      ->required();
  arguments->data.declare(app);
  static const TrainOptions defaults;
  arguments->training.declare(app, &defaults);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
