// nibble qat: quantize as PTQ does, then train the float weights with quantization in the loop.
#include "base/check.h"
#include "cli/quantize_arguments.h"
#include "cli/train_arguments.h"
#include "nibble/onnx.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  DataArguments data;
  QuantizeArguments quantization;
  TrainArguments training;
  CommonOptions common;
};

int run(const Arguments& arguments) {
  check_writable(arguments.output);
  if (arguments.quantization.dynamic) {
    fail(ErrorCode::invalid_argument,
         "--dynamic: ranges found at run time cannot be trained; leave it out");
  }
  const Graph model = load_onnx(arguments.model);
  ProgressBar progress;
  const Quantized start =
      quantize_model(model, arguments.data, arguments.quantization, arguments.common, progress);
  const TrainingData data =
      open_training_data(arguments.data, &start.float_graph, arguments.common.seed);
  const TrainOptions options = arguments.training.resolve(
      qat_defaults(start.plan.fallback.weight_bits, start.plan.fallback.activation_bits),
      arguments.common, &progress);
  const TrainResult result =
      train_quantized(start.graph, &start.float_graph, *data.training, *data.validation, options);
  save_onnx(result.graph, arguments.output, find_target(start.target));
  progress.clear();
  print_training_summary(result, arguments.output, arguments.common.json);
  return 0;
}

}  // namespace

std::function<int()> declare_qat(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Float ONNX model")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")->required();
  arguments->data.declare(app);
  arguments->quantization.declare(app);
  arguments->training.declare(app);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
