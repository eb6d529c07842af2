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
  check_writable(arguments.output);
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
  const TrainingData data = open_training_data(arguments.data, &model, arguments.common.seed);
  store_preprocess_of(model, *data.training);
  ProgressBar progress;
  const TrainOptions options =
      arguments.training.resolve(finetune_defaults(), arguments.common, &progress);
  const TrainResult result =
      train_quantized(model, nullptr, *data.training, *data.validation, options);
  save_onnx(result.graph, arguments.output, target);
  progress.clear();
  print_training_summary(result, arguments.output, arguments.common.json);
  return 0;
}

}  // namespace

std::function<int()> declare_finetune(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Quantized ONNX model (QDQ)")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")->required();
  app.add_option("--target", arguments->target,
                 describe_choices("The runtime that the file is meant for", target_choices(),
                                  arguments->target))
      ->check(CLI::IsMember(names_of(target_choices())));
  arguments->data.declare(app);
  arguments->training.declare(app);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
