// nibble eval: accuracy side by side, each with n and an interval, and a paired test against the
// first model.
#include <fmt/format.h>

#include "base/check.h"
#include "cli/command.h"
#include "nibble/evaluate.h"
#include "nibble/onnx.h"
#include "ranges/sample_runner.h"
#include "report/format.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  std::string split = "test";
  Arithmetic arithmetic = Arithmetic::integer;
  std::string predictions;
  int64_t samples = 0;
  int batch = 32;
  DataArguments data;
  CommonOptions common;
};

Split split_named(const std::string& name) {
  if (name == "train") return Split::train;
  return name == "validation" ? Split::validation : Split::test;
}

Evaluation evaluate_model(const std::string& path, const Graph& graph, const Arguments& arguments,
                          ProgressBar& progress) {
  std::shared_ptr<const Dataset> data =
      arguments.data.open(split_named(arguments.split), &graph, arguments.common.seed);
  if (arguments.samples > 0)
    data = draw_samples(graph, data, arguments.samples, arguments.common.seed);
  const EvaluateOptions options{.arithmetic = arguments.arithmetic,
                                .batch = arguments.batch,
                                .threads = arguments.common.threads,
                                .progress = &progress};
  progress.set_prefix(path);
  return with_context([&] { return "evaluating " + path; },
                      [&] { return evaluate(graph, *data, options); });
}

// The predicted classes as int32 [models, samples], or [samples] for one model.
void save_predictions(const std::vector<Evaluation>& evaluations, const std::string& path) {
  std::vector<int32_t> classes;
  for (const Evaluation& evaluation : evaluations) {
    classes.insert(classes.end(), evaluation.predicted.begin(), evaluation.predicted.end());
  }
  const Shape shape = evaluations.size() == 1
                          ? Shape{evaluations[0].samples}
                          : Shape{static_cast<int64_t>(evaluations.size()), evaluations[0].samples};
  save_npy(Tensor::of<int32_t>(shape, classes), path);
}

Json to_json(const std::string& path, const Evaluation& evaluation) {
  return {{"model", path},
          {"accuracy", evaluation.accuracy()},
          {"samples", evaluation.samples},
          {"correct", evaluation.correct},
          {"interval_95", {evaluation.interval.low, evaluation.interval.high}}};
}

void print_text(const std::vector<std::string>& models,
                const std::vector<Evaluation>& evaluations) {
  Table table(
      {{"model"}, {"accuracy [95 %]", Align::right}, {"difference to the first", Align::right}});
  for (size_t i = 0; i < models.size(); ++i) {
    table.add_row(
        {models[i], format_accuracy(evaluations[i]),
         i == 0 ? "" : format_difference(compare_paired(evaluations[0], evaluations[i]))});
  }
  tell("{}", table.to_string(output_columns()));
  for (size_t i = 0; i < models.size(); ++i) {
    for (const std::string& note : evaluations[i].notes) tell("{}: {}.\n", models[i], note);
  }
}

int run(const Arguments& arguments) {
  if (!arguments.predictions.empty()) check_output_file(arguments.predictions);
  ProgressBar progress;
  std::vector<Evaluation> evaluations;
  std::vector<Graph> graphs;
  for (const std::string& path : arguments.models) graphs.push_back(load_onnx(path));
  arguments.data.settle(graphs);
  for (size_t i = 0; i < graphs.size(); ++i) {
    const std::string& path = arguments.models[i];
    evaluations.push_back(evaluate_model(path, graphs[i], arguments, progress));
    if (evaluations.back().samples != evaluations.front().samples) {
      fail(ErrorCode::invalid_data,
           "{} was evaluated on {} samples and {} on {}: they cannot be compared", path,
           evaluations.back().samples, arguments.models.front(), evaluations.front().samples);
    }
  }
  progress.clear();
  if (!arguments.predictions.empty()) save_predictions(evaluations, arguments.predictions);
  if (!arguments.common.json) {
    print_text(arguments.models, evaluations);
    return 0;
  }
  Json models = Json::array();
  for (size_t i = 0; i < evaluations.size(); ++i) {
    Json entry = to_json(arguments.models[i], evaluations[i]);
    if (i > 0) {
      const PairedTest test = compare_paired(evaluations[0], evaluations[i]);
      entry["paired"] = {{"difference", test.difference},
                         {"interval_95", {test.interval.low, test.interval.high}},
                         {"only_first_right", test.only_first_right},
                         {"only_this_right", test.only_second_right},
                         {"p_value", test.p_value}};
    }
    models.push_back(std::move(entry));
  }
  print_json({{"split", arguments.split}, {"models", std::move(models)}});
  return 0;
}

}  // namespace

std::function<int()> declare_eval(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->models,
                 "ONNX models; the first is the one the others are compared with")
      ->type_name("FILE")
      ->required();
  arguments->data.declare(app);
  add_option(app,
             {.flag = "--split",
              .help = "Part of the data set",
              .choices = {{"train"}, {"validation"}, {"test"}}},
             arguments->split);
  add_option(app,
             {.flag = "--samples",
              .help = "Evaluate on a random sample of this size (0: on all)",
              .least = 0},
             arguments->samples);
  add_option(app, {.flag = "--batch", .help = "Samples per run", .least = 1}, arguments->batch);
  declare_arithmetic(app, arguments->arithmetic);
  app.add_option("--predictions", arguments->predictions,
                 "Write the predicted classes to this .npy file")
      ->type_name("FILE");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
