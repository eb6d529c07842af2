// nibble check: is a model, whoever made it, as a runtime wants it?
#include "cli/command.h"
#include "verbs/check.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string model;
  std::string target{default_target().name};
  CommonOptions common;
};

int run(const Arguments& arguments) {
  const Target& target = find_target(arguments.target);
  const Graph graph = load_model(arguments.model);
  const std::vector<Finding> findings = check_model(graph, target);
  Json json = {{"model", arguments.model}};
  json.update(to_json(findings, target));
  present("check", json, arguments.common, [&] {
    if (findings.empty()) {
      tell("{}: {} checks for {} find nothing\n", arguments.model, check_choices().size(),
           target.title);
      return;
    }
    tell("{}: {} for {}\n", arguments.model,
         findings.size() == 1 ? "one finding" : fmt::format("{} findings", findings.size()),
         target.title);
    std::string_view check;
    for (const Finding& finding : findings) {
      if (finding.check != check) tell("\n{}\n", finding.check);
      check = finding.check;
      tell("  {}\n", finding.sentence);
    }
  });
  return findings.empty() ? 0 : 1;
}

}  // namespace

std::function<int()> declare_check(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("MODEL", arguments->model, "ONNX model, quantized by whatever tool")
      ->type_name("FILE")
      ->required();
  add_option(app,
             {.flag = "--target",
              .help = "The runtime that is to run it",
              .choices = option_choices(target_choices())},
             arguments->target);
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
