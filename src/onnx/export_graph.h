// Graph -> GraphProto.
#pragma once

#include "nibble/graph.h"
#include "onnx/proto.h"

namespace nibble {

/// The inverse of GraphReader: opaque fields come back as they were; attributes named nibble_* are
/// between compile and run only and are left out. Quantized types must have become nodes
/// (insert_qdq).
void write_graph(const Graph& graph, onnx::GraphProto& proto);

}  // namespace nibble
