// Evaluating single nodes while passes run.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

/// The same inputs always give the same outputs: no random numbers, no subgraph, an operator that
/// Nibble can evaluate.
bool is_pure(const Node& node);

/// The outputs of `node` for these inputs (an empty Tensor: left out); nullopt where the operator
/// cannot be evaluated for them. Throws Error{invalid_model} for inputs that do not
/// fit.
std::optional<std::vector<Tensor>> evaluate_node(const Node& node, int opset,
                                                 std::span<const Tensor> inputs);

/// The value of a constant in real numbers (dequantized if it is quantized).
Tensor real_constant(const Value& value);

}  // namespace nibble
