// What is installed here and what it can do: `nibble --version`, `nibble.about()`.
#pragma once

#include <string>

#pragma GCC visibility push(default)
namespace nibble {

struct About {
  std::string version;          // "0.2.0"
  std::string instruction_set;  // of the integer kernels, as NIBBLE_ISA names it
  std::string cpu;              // empty where the system does not tell
  int threads = 1;              // used unless --threads says another number
  std::string training;         // "libtorch 1.13.1, CPU"; "none: " and why if it cannot train
};

/// Loads libtorch, as what it says of training can be known in no other way. Throws
/// Error{invalid_argument} if NIBBLE_ISA names an instruction set that this CPU lacks.
About about();

/// `about()` in lines: the first is "nibble VERSION".
std::string about_text();

}  // namespace nibble
#pragma GCC visibility pop
