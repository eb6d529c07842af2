// nibble report: one page of what commands left in run folders.
#include "base/file.h"
#include "cli/command.h"
#include "report/page/page.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::vector<std::string> folders;
  std::string output = "report.html";
  CommonOptions common;
};

int run(const Arguments& arguments) {
  check_output_file(arguments.output);
  std::vector<RunStep> steps;
  for (const std::string& folder : arguments.folders) {
    for (RunStep& step : read_run(folder)) steps.push_back(std::move(step));
  }
  write_file(arguments.output, report_page(steps));
  if (arguments.common.json) {
    print_json({{"page", arguments.output}, {"steps", steps.size()}});
  } else {
    tell("{}: {} steps\n", arguments.output, steps.size());
  }
  return 0;
}

}  // namespace

std::function<int()> declare_report(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("FOLDER", arguments->folders, "Folders that commands left results in, with --run")
      ->type_name("FOLDER")
      ->required();
  app.add_option("-o,--output", arguments->output,
                 "HTML file to write; default " + arguments->output)
      ->type_name("FILE");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
