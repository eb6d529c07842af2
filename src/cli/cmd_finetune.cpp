// nibble finetune: train on from an already quantized model, whoever quantized it.

#include "base/check.h"
#include "cli/train_arguments.h"
#include "nibble/onnx.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  DataArguments data;
  TrainArguments training;
  CommonOptions common;
};

bool has_quantized_weight(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (value.is_constant() && value.type.quant) return true;
  }
  return false;
}

int run(const Arguments& arguments) {
  check_writable(arguments.output);
  Graph model = load_onnx(arguments.model);
  if (!has_quantized_weight(model)) {
    fail(ErrorCode::invalid_argument,
         "{} has no quantized weights; use `nibble qat` to start from a float model",
         arguments.model);
  }
  const TrainingData data = open_training_data(arguments.data, &model, arguments.common.seed);
  store_preprocess_of(model, *data.training);
  ProgressBar progress;
  const TrainOptions options =
      arguments.training.resolve(finetune_defaults(), arguments.common, &progress);
  const TrainResult result =
      train_quantized(model, nullptr, *data.training, *data.validation, options);
  save_onnx(result.graph, arguments.output);
  progress.clear();
  print_training_summary(result, arguments.output, arguments.common.json);
  return 0;
}

}  // namespace

std::function<int()> declare_finetune(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Quantized ONNX model (QDQ)")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")->required();
  arguments->data.declare(app);
  arguments->training.declare(app);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
