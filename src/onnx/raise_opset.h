// Newer opsets, where a file needs an element type that its own has not.
#pragma once

#include "nibble/graph.h"

namespace nibble {

/// Rewrites the graph for `opset`, if that is newer than its own: operators whose form changed are
/// converted, in bodies too (axes from attribute to input, for example). Throws Error{unsupported}
/// naming a node whose meaning changed in a way that is not converted.
void raise_opset(Graph& graph, int opset);

/// The oldest IR version that may use `opset`.
int64_t ir_version_for(int opset);

}  // namespace nibble
