// Which constants of a graph training changes, and what they start from.
#pragma once

#include <optional>

#include "nibble/graph.h"

namespace nibble {

enum class ParameterRole : uint8_t { weight, bias, norm, scale };

/// What training may change in input `slot` of `node`; a vector added to a MatMul is its bias.
std::optional<ParameterRole> parameter_role(const Graph& graph, const Node& node, size_t slot);

/// Mean or variance of a batch normalisation.
bool is_running_statistic(const Node& node, size_t slot);

/// A constant's reals, dequantized if need be.
Tensor real_data(const Value& value);

/// What training starts from: the reals of `float_graph`, in the shape that `mine` has. A quantized
/// layer has one bias per output channel; the float one may have none (the bias then only corrects
/// what rounding shifted, and starts at zero) or one that broadcasts.
Tensor starting_point(const Graph& float_graph, const Value& mine, const Node& node, size_t slot,
                      ParameterRole role);

/// The reals in the same place of `float_graph`, if it has a node of this name and they have this
/// shape: what was quantized, unless the graphs have other things under the same names.
std::optional<Tensor> reals_behind(const Graph& float_graph, const Value& mine, const Node& node,
                                   size_t slot);

}  // namespace nibble
