// insert_qdq for a given runtime, and the opsets that quantized types need.
#pragma once

#include "nibble/target.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Types into QuantizeLinear and DequantizeLinear, stored as the runtime reads them. Returns the
/// number of values.
int insert_qdq(Graph& graph, const Target& target);

/// Some value of the graph or of the bodies of its nodes has a quantized type.
bool is_quantized(const Graph& graph);

/// The opset that QuantizeLinear and DequantizeLinear need for this storage.
int opset_for(const QuantParams& quant);
/// The opset that brought an operator of ONNX's integer arithmetic; 0 for other operators.
int opset_of_integer_operator(std::string_view op);

}  // namespace nibble
#pragma GCC visibility pop
