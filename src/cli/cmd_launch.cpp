// nibble launch: a command as several ranks on this machine.
#include <algorithm>

#include "base/check.h"
#include "cli/command.h"
#include "cli/launcher.h"
#include "cli/program.h"

namespace nibble::cli {
namespace {

// "nibble" and the names of its commands are this program, wherever it lies.
std::vector<std::string> resolved(std::vector<std::string> words) {
  if (!words.empty() && words.front() == "--") words.erase(words.begin());
  if (words.empty()) {
    fail(ErrorCode::invalid_argument,
         "nothing to launch: name a command, as in 'nibble launch -n 2 nibble qat ...'");
  }
  const bool ours = words.front() == "nibble";
  const bool command = std::ranges::any_of(
      commands(), [&](const CommandRow& row) { return row.name == words.front(); });
  if (!ours && !command) return words;
  if (ours) words.erase(words.begin());
  words.insert(words.begin(), program_command().begin(), program_command().end());
  return words;
}

}  // namespace

std::function<int()> declare_launch(CLI::App& app) {
  auto plan = std::make_shared<LaunchPlan>();
  auto timeout = std::make_shared<std::optional<double>>();
  app.prefix_command();
  app.add_option(
         "-n,--ranks", plan->ranks,
         "How many processes: ranks 0 to N-1, each with its share of the cores; the command "
         "follows behind all options")
      ->check(CLI::Range(1, 1024))
      ->type_name("N")
      ->required();
  add_option(app,
             {.flag = "--port",
              .help = "Where rank 0 listens for the others (0: a port that is free)",
              .least = 0,
              .most = 65535},
             plan->port);
  app.add_option("--rank-timeout", *timeout,
                 "Seconds to wait for a rank that does not answer, before all give up (300)")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  return [plan, timeout, &app] {
    plan->command = resolved(app.remaining());
    plan->timeout = *timeout;
    return launch(*plan);
  };
}

}  // namespace nibble::cli
