// nibble analyze: the dynamic range of every weight and activation.
#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/report_steps.h"
#include "nibble/onnx.h"
#include "nibble/ranges.h"
#include "verbs/quantize.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string output;
  int64_t samples = 512;
  DataArguments data;
  CommonOptions common;
};

int run(const Arguments& arguments) {
  if (!arguments.output.empty()) check_output_file(arguments.output);
  const Graph graph = load_model(arguments.model);
  ProgressBar progress;
  const RangeReport report =
      with_context([&] { return "analyzing " + arguments.model; },
                   [&] {
                     return analyze_model(graph, arguments.data.source(), arguments.samples,
                                          arguments.common.settings(&progress));
                   });
  progress.clear();
  if (!arguments.output.empty()) write_file(arguments.output, to_json(report) + "\n");
  const Json result = ranges_json(report, prepare_for_quantization(graph));
  present("analyze", result, arguments.common, [&] {
    tell("{}", to_table(report, output_columns()));
    if (!arguments.output.empty())
      tell("\nEverything, histograms included, is in {}.\n", arguments.output);
  });
  return 0;
}

}  // namespace

std::function<int()> declare_analyze(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model")->type_name("FILE")->required();
  arguments->data.declare(app);
  add_option(app, {.flag = "--samples", .help = "Training samples to run", .least = 1},
             arguments->samples);
  app.add_option("-o,--output", arguments->output, "JSON file for the whole report")
      ->type_name("FILE");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
