// Constants that were stored in half precision are stored so again.
#pragma once

#include "nibble/graph.h"

namespace nibble {

/// f32 constants that their file held in f16 or bf16 become constants of that type behind a Cast,
/// where no number changes and the file gets smaller; in bodies too. Returns the number of them.
int narrow_constants(Graph& graph);

}  // namespace nibble
