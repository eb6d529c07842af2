// nibble train: a float network from scratch.
#include <fmt/format.h>

#include "base/check.h"
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
  const TrainingData data = open_training_data(arguments.data, nullptr, arguments.common.seed);
  Graph graph = build_architecture(arguments.architecture, sample_shape(*data.training, "training"),
                                   data.training->classes(), arguments.common.seed);
  store_preprocess_of(graph, *data.training);
  ProgressBar progress;
  const TrainOptions options = arguments.training.resolve({}, arguments.common, &progress);
  const TrainResult result = train(graph, *data.training, *data.validation, options);
  const uint64_t bytes = save_model(result.graph, arguments.output);
  progress.clear();
  print_training_summary(result, arguments.output, bytes, arguments.common.json);
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
