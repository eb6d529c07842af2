// Graph -> GraphProto.
#pragma once

#include "nibble/graph.h"
#include "onnx/proto.h"

namespace nibble {

/// The inverse of GraphReader: what the notes hold comes back as it was. Quantized types must have
/// become nodes (insert_qdq), and compile() must not have seen the graph. `constants_as_inputs`:
/// constants that the file also listed as inputs are listed again.
void write_graph(const Graph& graph, schema::GraphProto& proto, bool constants_as_inputs);

}  // namespace nibble
