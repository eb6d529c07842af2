// The command line: parses, runs one command, and turns what is thrown into one sentence and an
// exit code: 0 success, 1 bad input or unsupported, 2 wrong usage, 3 a mistake in Nibble, 130
// stopped by the user.
#include "cli/program.h"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <new>
#include <sstream>

#include "base/check.h"
#include "base/text.h"
#include "cli/command.h"
#include "verbs/about.h"

namespace nibble::cli {
namespace {

int run(int argc, const char* const* argv) {
  CLI::App app("Nibble makes trained neural networks small and fast.", "nibble");
  app.set_version_flag("--version", about_text,
                       "Print the version, and what this machine gives it");
  app.require_subcommand(1);
  const auto formatter = std::make_shared<CLI::Formatter>();
  for (const auto& [label, ours] : {std::pair{"SUBCOMMAND", "COMMAND"},
                                    {"Subcommands", "Commands"},
                                    {"REQUIRED", "(required)"}}) {
    formatter->label(label, ours);
  }
  app.formatter(formatter);
  app.footer("nibble COMMAND --help explains a command, with an example.");
  std::function<int()> chosen;
  RunBy run_by = RunBy::first;
  for (const CommandRow& row : commands()) {
    CLI::App* command = app.add_subcommand(std::string(row.name), std::string(row.summary));
    command->footer(fmt::format("Example:\n  {}", row.example));
    command->callback([&, body = row.declare(*command), by = row.run_by] {
      chosen = body;
      run_by = by;
    });
  }
  const auto named = [&](const CommandRow& row) { return row.name == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && std::ranges::none_of(commands(), named)) {
    std::vector<std::string> names;
    for (const CommandRow& row : commands()) names.emplace_back(row.name);
    fmt::print(stderr, "'{}' is not a command of nibble{}\nRun nibble --help for the list.\n",
               argv[1], did_you_mean(argv[1], names));
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream help;
    const int code = app.exit(error, help, std::cerr);  // help, or the mistake and a hint
    write_output(help.str());
    return code == 0 ? 0 : 2;
  }
  if (run_by != RunBy::each && job_place().rank != 0) {
    if (run_by == RunBy::first) return 0;
    fall_silent();
    run_record().set_folder("");
  }
  if (run_by == RunBy::all) join_job();
  run_record().set_command(argc, argv);
  run_record().check_folder();
  return chosen();
}

// Of several ranks with the same to say, the first does.
int report(const char* sentence, int status) {
  if (give_up_job(sentence)) fmt::print(stderr, "nibble: {}\n", sentence);
  return status;
}

}  // namespace

std::vector<std::string>& program_command() {
  static std::vector<std::string> command = {"/proc/self/exe"};
  return command;
}

int run_program(int argc, const char* const* argv) {
  prepare_standard_streams();
  install_interrupt_handler();
  try {
    const int status = run(argc, argv);
    flush_output();
    leave_job();
    return status;
  } catch (const LostRank& error) {
    return error.told_here() ? report(error.what(), 1) : 1;
  } catch (const Error& error) {
    return report(error.what(), error.code() == ErrorCode::cancelled ? 130 : 1);
  } catch (const InternalError& error) {
    return report(
        fmt::format("{}; this is a mistake in Nibble: please report it", error.what()).c_str(), 3);
  } catch (const std::bad_alloc&) {
    return report("not enough memory", 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}

}  // namespace nibble::cli
