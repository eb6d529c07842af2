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
  Graph graph = build_architecture(arguments.architecture, data.training->sample_shape(),
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
  std::vector<std::string> names;
  std::string list;
  for (const ArchitectureRow& row : architectures()) {
    names.emplace_back(row.name);
    list += fmt::format("{}{} ({})", list.empty() ? "" : "; ", row.name, row.summary);
  }
  app.add_option("--arch", arguments->architecture, list)->required()->check(CLI::IsMember(names));
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
