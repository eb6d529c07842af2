#include "base/machine.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace nibble {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return {};
}

int cores() {
  const int all = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const char* processes = std::getenv("LOCAL_WORLD_SIZE");
  const int sharing = processes != nullptr ? std::atoi(processes) : 1;
  return sharing > 1 ? std::max(1, all / sharing) : all;
}

}  // namespace nibble
