// nibble eval: models side by side, by accuracy or any other metric, each with n and an interval,
// and the paired difference from the first model.
#include <fmt/format.h>

#include <optional>

#include "cli/command.h"
#include "cli/metric_output.h"
#include "nibble/onnx.h"
#include "report/format.h"
#include "report/table.h"
#include "verbs/json.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  std::string split = "test";
  Arithmetic arithmetic = Arithmetic::integer;
  std::string predictions;
  std::string metric;
  std::string output;
  std::optional<double> threshold;
  std::string score;
  int resamples = 2000;
  int64_t samples = 0;
  int batch = 32;
  DataArguments data;
  CommonOptions common;
};

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

JudgeSettings settings_of(const Arguments& arguments) {
  JudgeSettings settings{.split = split_named(arguments.split),
                         .samples = arguments.samples,
                         .predictions = !arguments.predictions.empty(),
                         .program = arguments.score};
  settings.measure.metric = arguments.metric;
  settings.measure.output = arguments.output;
  if (arguments.threshold) settings.measure.threshold = static_cast<float>(*arguments.threshold);
  settings.measure.arithmetic = arguments.arithmetic;
  settings.measure.batch = arguments.batch;
  settings.measure.resamples = arguments.resamples;
  settings.measure.seed = arguments.common.seed;
  return settings;
}

int run(const Arguments& arguments) {
  if (!arguments.predictions.empty()) check_output_file(arguments.predictions);
  ProgressBar progress;
  const JudgeSettings settings = settings_of(arguments);
  std::vector<Subject> subjects;
  for (const std::string& path : arguments.models) {
    subjects.push_back({.name = path, .graph = load_model(path), .data = nullptr});
  }
  const Judgement judgement = judge_models(subjects, arguments.data.source(), settings,
                                           arguments.common.settings(&progress));
  progress.clear();
  if (!arguments.predictions.empty()) save_predictions(judgement.accuracies, arguments.predictions);
  Json json = {{"split", arguments.split}};
  json.update(to_json(judgement, arguments.models));
  present("eval", json, arguments.common, [&] {
    if (!judgement.accuracies.empty()) {
      print_text(arguments.models, judgement.accuracies);
    } else {
      print_reports(arguments.models, judgement.reports, settings.measure);
    }
  });
  return 0;
}

// The metrics as --metric takes them.
std::vector<OptionChoice> metric_options() {
  std::vector<Choice> choices;
  for (const MetricInfo& metric : metric_choices()) choices.push_back(metric);
  return option_choices(choices);
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
  CLI::Option* metric = add_option(
      app,
      {.flag = "--metric",
       .help = "What to measure; default: top1 where there are labels, mse and mae or miou where "
               "there are targets, else how near each output is to the first model's",
       .choices = metric_options()},
      arguments->metric, "Metric");
  app.add_option("--output", arguments->output,
                 "The output to judge; default: the first that holds class scores, or all")
      ->type_name("NAME")
      ->group("Metric");
  app.add_option("--threshold", arguments->threshold,
                 "Where a single score becomes class 1; default: 0.5 for a probability (behind a "
                 "Sigmoid), 0 for a logit")
      ->type_name("T")
      ->group("Metric");
  app.add_option("--score", arguments->score,
                 "A program of your own that judges the outputs: called with a folder that holds "
                 "outputs/NNNNNN.npz (one file for each sample, one array for each output), "
                 "reference/ (the first model's), labels.npy, targets/, sets.npy and request.json, "
                 "it prints one number for each sample, or one for each row of sets.npy (how often "
                 "each sample is in that set); see docs/judging.md")
      ->type_name("PROGRAM")
      ->group("Metric")
      ->excludes(metric);
  add_option(app,
             {.flag = "--resamples",
              .help = "Sets of samples drawn for the intervals of what is no share of samples",
              .least = 100,
              .most = 1000000},
             arguments->resamples, "Metric");
  app.add_option("--predictions", arguments->predictions,
                 "Write the predicted classes to this .npy file")
      ->type_name("FILE");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
