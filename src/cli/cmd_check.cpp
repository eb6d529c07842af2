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

// By check. What several findings in turn say behind their first semicolon, what to do, is said
// once, after them.
void print_findings(const std::vector<Finding>& findings) {
  const auto advice = [&](size_t i) {
    if (i >= findings.size()) return std::string();
    const std::string& sentence = findings[i].sentence;
    const size_t end = sentence.find("; ");
    return end == std::string::npos ? std::string() : sentence.substr(end + 2);
  };
  for (size_t i = 0; i < findings.size(); ++i) {
    const Finding& finding = findings[i];
    const bool goes_on = i + 1 < findings.size() && findings[i + 1].check == finding.check;
    if (i == 0 || findings[i - 1].check != finding.check) tell("\n{}\n", finding.check);
    const std::string now = advice(i);
    tell("  {}\n",
         finding.sentence.substr(0, finding.sentence.size() - now.size() - (now.empty() ? 0 : 2)));
    if (!now.empty() && !(goes_on && advice(i + 1) == now)) tell("    {}\n", now);
  }
}

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
    print_findings(findings);
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
