// The command line as a function: the program `nibble`, and `python -m nibble`.
#pragma once

#include <string>
#include <vector>

namespace nibble::cli {

/// The program: runs what the command line says; the exit code. Never throws.
int run_program(int argc, const char* const* argv);
/// The command line that starts this program anew, for what is measured in a process of its own.
/// By default the program that runs.
std::vector<std::string>& program_command();

}  // namespace nibble::cli
