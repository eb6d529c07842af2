#include "verbs/about.h"

#include "base/check.h"
#include "base/machine.h"
#include "nibble/isa.h"
#include "nibble/version.h"
#include "train/backend.h"

namespace nibble {
namespace {

std::string training() {
  try {
    return train_backend().describe();
  } catch (const Error& error) {
    return fmt::format("none: {}", error.what());
  }
}

}  // namespace

About about() {
  return {.version = std::string(version()),
          .instruction_set = std::string(name_of(best_isa())),
          .cpu = cpu_name(),
          .threads = cores(),
          .training = training()};
}

std::string about_text() {
  const About all = about();
  const std::string cpu = all.cpu.empty() ? "" : fmt::format(" ({})", all.cpu);
  return fmt::format("nibble {}\ninstruction set: {}{}\nthreads: {}\ntraining: {}", all.version,
                     all.instruction_set, cpu, all.threads, all.training);
}

}  // namespace nibble
