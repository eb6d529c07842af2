// nibble finetune: train on from an already quantized model, whoever quantized it.
#include "cli/train_arguments.h"
#include "nibble/onnx.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  std::string teacher;
  std::string target{default_target().name};
  DataArguments data;
  TrainArguments training;
  CommonOptions common;
};

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  const Target& target = find_target(arguments.target);
  Finetuning start{.model = load_model(arguments.model),
                   .name = arguments.model,
                   .target = target,
                   .teacher = std::nullopt};
  Json from = {{"model", arguments.model}};
  if (!arguments.teacher.empty()) {
    start.teacher = load_model(arguments.teacher);
    from["teacher"] = arguments.teacher;
  }
  TrainingBar progress;
  const Trained result =
      finetune_model(std::move(start), arguments.data.source(),
                     arguments.training.choices(&progress), arguments.common.settings(&progress));
  finish_training(result, {"finetune", from, arguments.output, target}, progress, arguments.common);
  return 0;
}

}  // namespace

std::function<int()> declare_finetune(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Quantized ONNX model, whoever made it")
      ->type_name("FILE")
      ->required();
  app.add_option("-o,--output", arguments->output, "ONNX file to write, quantized as MODEL")
      ->type_name("FILE")
      ->required();
  app.add_option("--teacher", arguments->teacher,
                 "Float ONNX model that this one was made from: without labels its outputs are "
                 "learned, with labels they are half of the loss (--distill)")
      ->type_name("FILE");
  declare_target(app, arguments->target);
  arguments->data.declare(app);
  arguments->training.declare(app, nullptr, true);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
