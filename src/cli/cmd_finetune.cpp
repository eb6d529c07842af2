// nibble finetune: train on from an already quantized model, whoever quantized it.

#include <algorithm>

#include "base/check.h"
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

// Dynamically quantized: the integers are operands of operators, not types of values.
bool is_dynamic(const Graph& graph) {
  return std::ranges::any_of(
      graph.nodes(), [&](NodeId id) { return graph.node(id).op == "DynamicQuantizeLinear"; });
}

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  Graph model = load_onnx(arguments.model);
  if (is_dynamic(model)) {
    fail(ErrorCode::invalid_argument,
         "{} is quantized dynamically, which cannot be trained; quantize it statically",
         arguments.model);
  }
  if (!is_quantized(model)) {
    fail(ErrorCode::invalid_argument,
         "{} has no quantized weights; use `nibble qat` to start from a float model",
         arguments.model);
  }
  const Target& target = find_target(arguments.target);
  // Training leaves the types as they are: what cannot be written is refused before it.
  if (const auto reason = why_not_written(model, target)) {
    fail(ErrorCode::unsupported, "{}: {}", arguments.model, *reason);
  }
  arguments.data.settle({&model, 1});
  const TrainingData data = open_training_data(arguments.data, &model, arguments.common.seed);
  store_preprocess_of(model, *data.training);
  ProgressBar progress;
  const TrainOptions options =
      arguments.training.resolve(finetune_defaults(), arguments.common, &progress);
  const TrainResult result =
      train_quantized(model, nullptr, *data.training, *data.validation, options);
  const uint64_t bytes = save_model(result.graph, arguments.output, target);
  progress.clear();
  print_training_summary(result, arguments.output, bytes, arguments.common.json);
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
