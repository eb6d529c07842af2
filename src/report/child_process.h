// Running a program of the user's.
#pragma once

#include <filesystem>
#include <string>

#include "nibble/progress.h"

namespace nibble {

struct ProgramResult {
  std::string out;  // what it wrote to stdout
  std::string err;  // and to stderr
  int status = 0;   // exit code; 128 + the signal that ended it
};

/// Runs `command` with `argument` as its (last) argument: the file of that name, or, if there is
/// none, a command line of the shell. What it writes is kept in `scratch`, a folder. Waits for it;
/// asked to stop by `progress` (may be null), ends it and throws Error{cancelled}. Throws Error{io}
/// if it cannot be started.
ProgramResult run_program(const std::string& command, const std::string& argument,
                          const std::filesystem::path& scratch, ProgressSink* progress);

}  // namespace nibble
