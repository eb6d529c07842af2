// What steps say of themselves once they ran with a clock.
#pragma once

#include <vector>

#include "runtime/executable.h"

namespace nibble {

/// A line for each step that is no view; a step whose bodies ran is followed by their lines.
std::vector<StepProfile> profile_of(const Executable& executable);

/// Its steps, and those of its bodies, forget their runs.
void forget_times(Executable& executable);

}  // namespace nibble
