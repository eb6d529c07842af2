// Why steps compute in float, and what would change that.
#pragma once

#include <vector>

#include "nibble/profile.h"

namespace nibble {

/// Fills in why_float and remedy of the steps that `graph` was compiled to.
void explain_float_steps(const Graph& graph, std::vector<ProfiledStep>& steps);

}  // namespace nibble
