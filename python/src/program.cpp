// The command line, in this process.
#include "cli/program.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <signal.h>

#include "module.h"

namespace nibble::python {
namespace {

// What the program does with signals ends with it: Python goes on.
class KeptSignals {
 public:
  KeptSignals() {
    sigaction(SIGINT, nullptr, &interrupt_);
    sigaction(SIGPIPE, nullptr, &pipe_);
  }
  ~KeptSignals() {
    sigaction(SIGINT, &interrupt_, nullptr);
    sigaction(SIGPIPE, &pipe_, nullptr);
  }

 private:
  struct sigaction interrupt_ {};
  struct sigaction pipe_ {};
};

}  // namespace

void define_program(nb::module_& module) {
  module.def(
      "run_program",
      [](const std::vector<std::string>& arguments, std::vector<std::string> command) {
        cli::program_command() = std::move(command);
        std::vector<const char*> argv = {"nibble"};
        for (const std::string& argument : arguments) argv.push_back(argument.c_str());
        argv.push_back(nullptr);
        const KeptSignals kept;
        return cli::run_program(static_cast<int>(argv.size()) - 1, argv.data());
      },
      nb::arg("arguments"), nb::arg("command"), nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace nibble::python
