// The machine that this runs on.
#pragma once

#include <string>

#pragma GCC visibility push(default)
namespace nibble {

/// "Intel(R) Xeon(R) ..."; empty where the system does not tell.
std::string cpu_name();
/// At least 1.
int cores();

}  // namespace nibble
#pragma GCC visibility pop
