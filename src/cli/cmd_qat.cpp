// nibble qat: quantize as PTQ does, then train the float weights with quantization in the loop.
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
  check_output_file(arguments.output);
  const QuantizeSettings settings = arguments.quantization.resolve();
  const Graph model = load_model(arguments.model);
  TrainingBar progress;
  const Trained result = train_with_quantization(model, arguments.data.source(), settings,
                                                 arguments.training.choices(&progress),
                                                 arguments.common.settings(&progress));
  finish_training(
      result,
      {"qat", {{"model", arguments.model}}, arguments.output, find_target(settings.options.target)},
      progress, arguments.common);
  return 0;
}

}  // namespace

std::function<int()> declare_qat(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Float ONNX model")->type_name("FILE")->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, in QDQ form")
      ->type_name("FILE")
      ->required();
  arguments->data.declare(app);
  arguments->quantization.declare(app);
  arguments->training.declare(app, nullptr, true);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
