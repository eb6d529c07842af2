// The command line: parses, runs one command, and turns what is thrown into one sentence and an
// exit code: 0 success, 1 bad input or unsupported, 2 wrong usage, 130 stopped by the user.
#include <algorithm>
#include <cstdio>
#include <new>

#include "base/check.h"
#include "cli/command.h"
#include "nibble/version.h"

namespace {

int run(int argc, char** argv) {
  using namespace nibble::cli;
  CLI::App app("Nibble makes trained neural networks small and fast.", "nibble");
  app.set_version_flag("--version", fmt::format("nibble {}", nibble::version()));
  app.require_subcommand(1);
  app.footer("nibble COMMAND --help explains a command, with an example.");
  std::function<int()> chosen;
  for (const CommandRow& row : commands()) {
    CLI::App* command = app.add_subcommand(std::string(row.name), std::string(row.summary));
    command->footer(fmt::format("Example:\n  {}", row.example));
    command->callback([&chosen, body = row.declare(*command)] { chosen = body; });
  }
  const auto named = [&](const CommandRow& row) { return row.name == argv[1]; };
  if (argc > 1 && argv[1][0] != '-' && std::ranges::none_of(commands(), named)) {
    fmt::print(stderr, "'{}' is not a command of nibble.\nRun nibble --help for the list.\n",
               argv[1]);
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, or the mistake and a hint
    return code == 0 ? 0 : 2;
  }
  return chosen();
}

int report(const char* sentence, int status) {
  fmt::print(stderr, "nibble: {}\n", sentence);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  nibble::cli::install_interrupt_handler();
  try {
    return run(argc, argv);
  } catch (const nibble::Error& error) {
    return report(error.what(), error.code() == nibble::ErrorCode::cancelled ? 130 : 1);
  } catch (const std::bad_alloc&) {
    return report("not enough memory", 1);
  } catch (const std::exception& error) {
    return report(error.what(), 1);
  }
}
