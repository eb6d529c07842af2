// nibble eval: models side by side, by accuracy or any other metric, each with n and an interval,
// and the paired difference from the first model.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/check.h"
#include "cli/command.h"
#include "cli/metric_output.h"
#include "nibble/evaluate.h"
#include "nibble/measure.h"
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

Split split_named(const std::string& name) {
  if (name == "train") return Split::train;
  return name == "validation" ? Split::validation : Split::test;
}

// What each model is evaluated on: the same samples, prepared as it wants them.
std::shared_ptr<const Dataset> open_samples(const Graph& graph, const Arguments& arguments) {
  std::shared_ptr<const Dataset> data =
      arguments.data.open(split_named(arguments.split), &graph, arguments.common.seed);
  if (arguments.samples <= 0) return data;
  if (arguments.score.empty()) {
    return draw_samples(graph, data, arguments.samples, arguments.common.seed);
  }
  // A program of the user's knows the samples by their numbers.
  std::vector<int64_t> first(static_cast<size_t>(std::min(arguments.samples, data->size())));
  std::iota(first.begin(), first.end(), 0);
  return subset(std::move(data), std::move(first));
}

std::optional<float> threshold_of(const Arguments& arguments) {
  if (!arguments.threshold) return std::nullopt;
  return static_cast<float>(*arguments.threshold);
}

Evaluation evaluate_model(const std::string& path, const Graph& graph, const Dataset& data,
                          const Arguments& arguments, ProgressBar& progress) {
  const EvaluateOptions options{.arithmetic = arguments.arithmetic,
                                .batch = arguments.batch,
                                .threads = arguments.common.threads,
                                .progress = &progress,
                                .output = arguments.output,
                                .threshold = threshold_of(arguments)};
  progress.set_prefix(path);
  return with_context([&] { return "evaluating " + path; },
                      [&] { return evaluate(graph, data, options); });
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
          {"interval_95", {evaluation.interval.low, evaluation.interval.high}},
          {"output", evaluation.output},
          {"nan_samples", evaluation.nan_samples},
          {"notes", evaluation.notes}};
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

void print_json_of(const Arguments& arguments, const std::vector<Evaluation>& evaluations) {
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
  print_json({{"split", arguments.split}, {"metric", "top1"}, {"models", std::move(models)}});
}

// The models, and the samples of each.
struct Subjects {
  std::vector<Graph> graphs;
  std::vector<std::shared_ptr<const Dataset>> data;
};

Subjects open_all(const Arguments& arguments) {
  Subjects subjects;
  for (const std::string& path : arguments.models) subjects.graphs.push_back(load_onnx(path));
  arguments.data.settle(subjects.graphs);
  for (size_t i = 0; i < subjects.graphs.size(); ++i) {
    const Graph& graph = subjects.graphs[i];
    subjects.data.push_back(with_context([&] { return "evaluating " + arguments.models[i]; },
                                         [&] { return open_samples(graph, arguments); }));
    if (subjects.data[i]->size() != subjects.data[0]->size()) {
      fail(ErrorCode::invalid_data,
           "{} was evaluated on {} samples and {} on {}: they cannot be compared",
           arguments.models[i], subjects.data[i]->size(), arguments.models[0],
           subjects.data[0]->size());
    }
  }
  return subjects;
}

void run_accuracy(const Arguments& arguments, const Subjects& subjects, ProgressBar& progress) {
  std::vector<Evaluation> evaluations;
  for (size_t i = 0; i < subjects.graphs.size(); ++i) {
    evaluations.push_back(evaluate_model(arguments.models[i], subjects.graphs[i], *subjects.data[i],
                                         arguments, progress));
  }
  progress.clear();
  if (!arguments.predictions.empty()) save_predictions(evaluations, arguments.predictions);
  if (arguments.common.json) {
    print_json_of(arguments, evaluations);
  } else {
    print_text(arguments.models, evaluations);
  }
}

void run_metric(const Arguments& arguments, const Subjects& subjects, ProgressBar& progress) {
  std::vector<MeasuredModel> models;
  for (size_t i = 0; i < subjects.graphs.size(); ++i) {
    models.push_back({.name = arguments.models[i],
                      .graph = &subjects.graphs[i],
                      .data = subjects.data[i].get()});
  }
  const MeasureOptions options{.metric = arguments.metric,
                               .output = arguments.output,
                               .threshold = threshold_of(arguments),
                               .arithmetic = arguments.arithmetic,
                               .batch = arguments.batch,
                               .threads = arguments.common.threads,
                               .resamples = arguments.resamples,
                               .seed = arguments.common.seed,
                               .progress = &progress};
  const std::vector<MetricReport> reports =
      arguments.score.empty() ? measure(models, options)
                              : std::vector{measure_by_program(models, arguments.score, options)};
  progress.clear();
  if (arguments.common.json) {
    print_json({{"split", arguments.split}, {"metrics", reports_json(arguments.models, reports)}});
  } else {
    print_reports(arguments.models, reports, options);
  }
}

int run(const Arguments& arguments) {
  if (!arguments.predictions.empty()) check_output_file(arguments.predictions);
  ProgressBar progress;
  const Subjects subjects = open_all(arguments);
  const bool labelled = subjects.data[0]->classes() > 0;
  const bool accuracy = arguments.score.empty() &&
                        (arguments.metric == "top1" || (arguments.metric.empty() && labelled));
  if (!accuracy && !arguments.predictions.empty()) {
    fail(ErrorCode::invalid_argument,
         "--predictions writes the classes that --metric top1 compares with labels");
  }
  (accuracy ? run_accuracy : run_metric)(arguments, subjects, progress);
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
