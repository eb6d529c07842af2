// nibble reproduce: quantizes again as a file says that it was quantized, and compares the bytes.
#include "base/check.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/quantize_arguments.h"
#include "verbs/provenance.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string original;
  std::string output;
  std::string ranges;
  DataArguments data;
  CommonOptions common;
};

// In the file; -1: they are the same.
int64_t first_difference(std::string_view a, std::string_view b) {
  const auto [left, right] = std::ranges::mismatch(a, b);
  return left == a.end() && right == b.end() ? -1 : left - a.begin();
}

int run(const Arguments& arguments) {
  if (!arguments.output.empty()) check_output_file(arguments.output);
  const Graph quantized = load_model(arguments.model);
  Graph original = load_model(arguments.original);
  ProgressBar progress;
  const Reproduction made = with_context(
      [&] { return "making " + arguments.model + " again"; },
      [&] {
        const std::optional<RangeReport> ranges = read_ranges(arguments.ranges);
        return reproduce(quantized, std::move(original), arguments.data.source(),
                         arguments.common.settings(&progress), ranges ? &*ranges : nullptr);
      });
  progress.clear();
  const Target& target = find_target(made.result.target);
  const int64_t at =
      first_difference(read_file(arguments.model), serialize_onnx(made.result.graph, target));
  if (!arguments.output.empty()) save_model(made.result.graph, arguments.output, target);
  present("reproduce",
          {{"model", arguments.model},
           {"same", at < 0},
           {"first_difference", at < 0 ? Json() : Json(at)},
           {"differences", made.differences}},
          arguments.common, [&] {
            for (const std::string& difference : made.differences) tell("{}.\n", difference);
            if (at < 0) {
              tell("{}: the same bytes again\n", arguments.model);
            } else {
              tell("{}: other bytes, from byte {} on{}\n", arguments.model, at,
                   made.differences.empty() ? ", from the same model and samples" : "");
            }
          });
  return at < 0 ? 0 : 1;
}

}  // namespace

std::function<int()> declare_reproduce(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "Quantized ONNX model, which says how it was made")
      ->type_name("FILE")
      ->required();
  app.add_option("FLOAT", arguments->original, "The float ONNX model that it was made from")
      ->type_name("FILE")
      ->required();
  app.add_option("-o,--output", arguments->output, "Write what comes out too")->type_name("FILE");
  add_ranges_option(app, arguments->ranges);
  arguments->data.declare(app);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
