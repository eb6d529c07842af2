// What fold_qdq does before all else.
#pragma once

#include "nibble/graph.h"

namespace nibble {

/// Nodes that move codes between QuantizeLinear and DequantizeLinear move reals, with a pair on
/// either side. Returns the number of nodes.
int move_reals_instead_of_codes(Graph& graph);

}  // namespace nibble
