// The machine that this runs on.
#pragma once

#include <string>

#pragma GCC visibility push(default)
namespace nibble {

/// "Intel(R) Xeon(R) ..."; empty where the system does not tell.
std::string cpu_name();
/// At least 1. Where a launcher started LOCAL_WORLD_SIZE processes on this machine, this one's
/// share of them.
int cores();

}  // namespace nibble
#pragma GCC visibility pop
